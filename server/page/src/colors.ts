// Colours of objects: a list of clear ones, then hues by the golden ratio.

const clear = ["#2f80ff", "#ff8a1f", "#1fb574", "#e9429b", "#f3c316", "#14b8cc", "#8d5cf6", "#ef4b4b", "#84cc16", "#c08457"];

export function colorOf(index: number): string {
  return clear[index] ?? hsl((0.11 + (index - clear.length) * 0.618033988749895) % 1, 0.72, 0.58);
}

function hsl(hue: number, saturation: number, light: number): string {
  const part = (n: number): string => {
    const k = (n + hue * 12) % 12;
    const value = light - saturation * Math.min(light, 1 - light) * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(value * 255).toString(16).padStart(2, "0");
  };
  return `#${part(0)}${part(8)}${part(4)}`;
}
