// How long to wait before trying the node again. Pure.

/** First wait, in milliseconds. */
export const FIRST_MS = 500;
/** Longest wait: a person looking at the banner should not wait longer. */
export const LONGEST_MS = 15_000;

/**
 * Exponential with jitter over the upper half, so that several tabs don't knock together.
 * @param {number} failures consecutive failures so far, 1 or more
 * @param {number} random in [0, 1)
 */
export function waitFor(failures, random) {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 10));
  return Math.round(full / 2 + (full / 2) * random);
}
