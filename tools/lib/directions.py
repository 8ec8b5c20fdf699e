"""What the commands that compare runs know of scores: which way is better, and on which no seed bears."""

COMPARISONS = ("representations", "generators", "likelihoods")  # CSV tables in metrics/evaluate
# 1 where more is better, -1 where less is, 0 where neither is.
DIRECTIONS = {
    "knn_leave_one_out": 1,
    "knn_accuracy": 1,
    "knn_minus_raw": 1,
    "macro_f1": 1,
    "linear_probe": 1,
    "trustworthiness": 1,
    "continuity": 1,
    "mse": -1,
    "psnr": 1,
    "ssim": 1,
    "frechet": -1,
    "kernel_distance": -1,
    "density": 0,  # above 1 where typical images are drawn too often
    "coverage": 1,
    "sharpness": 0,  # best at 1
    "confident_share": 0,
    "cas": 1,
    "nearest_train": 0,
    "elbo_nats": 1,
    "bits_per_dim": -1,
    "bits_per_dim_importance": -1,
    "validation_loss": -1,
    "validation_error": -1,
    "validation_reconstruction": -1,
}
WITHOUT_SEED = ("raw", "raw_l1", "pca")  # representations in which nothing is drawn at random
