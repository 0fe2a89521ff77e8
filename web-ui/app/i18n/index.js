// Words of the interface. Pure: the catalogue is handed in at start.
//
// Keys look like `area/name`. A value is a text with {placeholders}, or an
// object of plural forms chosen by the variable `n`.

let catalogue = {};
let rules = new Intl.PluralRules('en');

/** Takes a parsed catalogue. */
export function setCatalogue(entries, locale = 'en') {
  catalogue = entries;
  rules = new Intl.PluralRules(locale);
}

function text(key, vars) {
  const entry = catalogue[key];
  if (entry === undefined) return key;
  if (typeof entry === 'string') return entry;
  return entry[rules.select(vars?.n ?? 0)] ?? entry.other;
}

/** The words for a key, with the placeholders filled in. */
export function t(key, vars) {
  return text(key, vars).replace(/\{(\w+)\}/g, (whole, name) => vars?.[name] ?? whole);
}

/** The same as a list of children, so that a placeholder can be an element. */
export function parts(key, vars) {
  return text(key, vars)
    .split(/\{(\w+)\}/)
    .map((piece, at) => (at % 2 ? vars[piece] : piece))
    .filter((piece) => piece !== '');
}
