// Light, dark, or as the system has it. The choice is kept in this browser.

const order = ["system", "light", "dark"] as const;
export type Theme = (typeof order)[number];
const storage = "sam2-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

export function theme(): Theme {
  const value = localStorage.getItem(storage);
  return order.find((name) => name === value) ?? "system";
}

export function applyTheme(): void {
  const value = theme();
  const shown = value === "system" ? (dark.matches ? "dark" : "light") : value;
  document.documentElement.dataset["theme"] = shown;
  for (const listener of listeners) listener();
}

export function nextTheme(): Theme {
  const next = order[(order.indexOf(theme()) + 1) % order.length] ?? "system";
  localStorage.setItem(storage, next);
  applyTheme();
  return next;
}

export function onTheme(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

dark.addEventListener("change", applyTheme);
