// Sets the chosen theme before the first paint. A classic script on purpose:
// modules run after the page was drawn once in the wrong colours.
(() => {
  const chosen = localStorage.getItem('kith.theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
})();
