// DPM-Solver++(2M), algorithm 2 of Lu et al. 2022, the same as in latentbench/diffusion/samplers.py.

/**
 * Yield the steps of one sample.
 * @param {(y: Float32Array, level: number) => Promise<Float32Array>} denoise estimates x_0 behind y = x_0 + level * eps.
 * @param {number[]} levels decreasing noise levels; 0 may come last.
 * @param {Float32Array} start data at the first level.
 * @param {number[] | null} limits of the data, to which estimates are clipped.
 * @yields {{level: number, y: Float32Array, x0: Float32Array}} the level reached, the data there, and the estimate.
 */
export async function* sample(denoise, levels, start, limits) {
  let y = start;
  let before = null;
  for (let at = 0; at + 1 < levels.length; at += 1) {
    const level = levels[at];
    const lower = levels[at + 1];
    let x0 = await denoise(y, level);
    if (limits) x0 = x0.map((value) => Math.min(limits[1], Math.max(limits[0], value)));
    if (lower === 0) {
      y = x0;
    } else {
      const share = before ? Math.log(level / lower) / (2 * Math.log(before.level / level)) : 0;
      const ratio = lower / level;
      y = y.map((value, index) => {
        const estimate = before ? x0[index] + share * (x0[index] - before.x0[index]) : x0[index];
        return estimate + ratio * (value - estimate);
      });
    }
    before = { level, x0 };
    yield { level: lower, y, x0 };
  }
}
