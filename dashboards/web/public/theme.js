/** Sets the chosen theme before the first paint; without a choice the system's counts. */
try {
  const theme = localStorage.getItem('emberway.theme');
  if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; the system's theme is used then.
}
