"""Geodesic distances from landmarks to all points, in memory or in a file."""

from pathlib import Path

import numpy as np

from latentbench.core import artifacts


class Ways:
    """The geodesic distance from each of m landmarks to each of n points, float32.

    A file of them is read and written in pieces and not mapped into memory, where its pages would stay.

    Args:
        m, n: numbers of landmarks and points.
        file: where to keep them, instead of in memory; it is overwritten.

    Raises:
        ArtifactError: there is no room for the file.
    """

    def __init__(self, m: int, n: int, file: Path | None = None) -> None:
        self._shape, self._path = (m, n), file
        if file is None:
            self._array = np.zeros((m, n), dtype=np.float32)
        else:
            self._offset: int = artifacts.zeros((m, n), file).offset  # type: ignore[attr-defined]  # of a memory map

    def set_rows(self, landmarks: np.ndarray, rows: np.ndarray) -> None:
        """Set the distances from some landmarks, given by position (k,), to all points, (k, n)."""
        if self._path is None:
            self._array[landmarks] = rows
            return
        n_bytes = 4 * self._shape[1]
        with self._path.open("r+b") as file:
            for landmark, row in zip(landmarks, rows, strict=True):
                file.seek(self._offset + int(landmark) * n_bytes)
                file.write(np.ascontiguousarray(row, dtype=np.float32).tobytes())

    def at(self, points: np.ndarray) -> np.ndarray:
        """Return the distances from some points (k,), in rising order, to all landmarks, (k, m) float32."""
        m, n = self._shape
        if self._path is None:
            return np.ascontiguousarray(self._array[:, points].T)
        found = np.empty((len(points), m), dtype=np.float32)
        if not len(points):
            return found
        first, last = int(points[0]), int(points[-1]) + 1
        with self._path.open("rb") as file:
            for landmark in range(m):
                file.seek(self._offset + 4 * (landmark * n + first))
                row = np.frombuffer(file.read(4 * (last - first)), dtype=np.float32)
                found[:, landmark] = row[points - first]
        return found
