// Shortcuts reach the part of the screen that can answer them.
const answers = new Map();

/** Answers a command while mounted; returns the way to stop. */
export function onCommand(action, answer) {
  answers.set(action, answer);
  return () => {
    if (answers.get(action) === answer) answers.delete(action);
  };
}

/** Asks for a command; true when somebody answered. An answer of `false` means "not me". */
export function command(action) {
  const answer = answers.get(action);
  return answer ? answer() !== false : false;
}
