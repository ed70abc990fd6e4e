// Dark or light: as the system says, until somebody chooses.
const kKey = 'viaduct.theme';
const kThemes = ['auto', 'dark', 'light'];
const system = matchMedia('(prefers-color-scheme: light)');
const watchers = new Set();

export const theme = () => {
  const kept = localStorage.getItem(kKey);
  return kThemes.includes(kept) ? kept : 'auto';
};

export function applyTheme() {
  const chosen = theme();
  const shown = chosen === 'auto' ? (system.matches ? 'light' : 'dark') : chosen;
  document.documentElement.dataset.bsTheme = shown;
  watchers.forEach((tell) => tell(shown));
}

export function nextTheme() {
  localStorage.setItem(kKey, kThemes[(kThemes.indexOf(theme()) + 1) % kThemes.length]);
  applyTheme();
}

export function watchTheme(tell) {
  watchers.add(tell);
  return () => watchers.delete(tell);
}

system.addEventListener('change', applyTheme);
applyTheme();
