// Colours of the classes and of the map, which is drawn on a canvas that no style sheet reaches.

const TEN = {
  light: ["#1f77b4", "#f07c0c", "#2a9a2a", "#d62728", "#8d5fbd", "#8c564b", "#d65db1", "#6f6f6f", "#a3a41b", "#12a5b6"],
  dark: ["#58a5e0", "#ff9c45", "#57c857", "#f4686a", "#bb98e6", "#bd9183", "#f29fd9", "#b4b4b4", "#dadb55", "#43d8e9"],
};

/** Return [red, green, blue] of "#rrggbb". */
export function channels(color) {
  return [1, 3, 5].map((start) => Number.parseInt(color.slice(start, start + 2), 16));
}

/** Return "#rrggbb" of hue in degrees, saturation and lightness in [0, 1]. */
function fromHue(hue, saturation, lightness) {
  const width = saturation * Math.min(lightness, 1 - lightness);
  const part = (offset) => {
    const turn = (offset + hue / 30) % 12;
    const value = lightness - width * Math.max(-1, Math.min(turn - 3, 9 - turn, 1));
    return Math.round(255 * value).toString(16).padStart(2, "0");
  };
  return `#${part(0)}${part(8)}${part(4)}`;
}

/** Return a colour "#rrggbb" for each of n classes; beyond ten, hues a golden angle apart. */
export function classColors(n, theme) {
  const lightness = theme === "dark" ? 0.68 : 0.42;
  return Array.from({ length: n }, (_, index) => TEN[theme][index] ?? fromHue((index * 137.508) % 360, 0.6, lightness));
}

/** Colours of the map's background, marks and letters. */
export const MAP = {
  light: { ground: "#ffffff", mark: "#111827", halo: "#ffffff", letters: "#4b5563", line: "#e5e7eb" },
  dark: { ground: "#12161d", mark: "#f9fafb", halo: "#12161d", letters: "#a8b0bd", line: "#2a313c" },
};
