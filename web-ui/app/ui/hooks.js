// Small hooks shared by the screens.
import { useEffect, useRef, useState } from './h.js';

/** The current time, renewed every `period` milliseconds. */
export function useNow(period = 30_000) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), period);
    return () => clearInterval(timer);
  }, [period]);
  return now;
}

/**
 * Runs an action of the person and keeps its failure beside the control.
 * @returns {{ run: Function, busy: boolean, problem: object|null, clear: Function }}
 */
export function useAction(action) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  const alive = useRef(true);
  const running = useRef(false);
  useEffect(() => {
    alive.current = true;
    return () => {
      alive.current = false;
    };
  }, []);
  const run = async (...args) => {
    if (running.current) return undefined;
    running.current = true;
    setBusy(true);
    setProblem(null);
    try {
      return await action(...args);
    } catch (refusal) {
      if (alive.current) setProblem(refusal);
      return undefined;
    } finally {
      running.current = false;
      if (alive.current) setBusy(false);
    }
  };
  return { run, busy, problem, clear: () => setProblem(null) };
}

/**
 * An idempotency key that lives until the node answered: a repeat after silence
 * is the same command, a repeat after a refusal is a new one.
 */
export function useOneKey() {
  const key = useRef(null);
  return async (command) => {
    key.current ??= crypto.randomUUID();
    try {
      const result = await command(key.current);
      key.current = null;
      return result;
    } catch (refusal) {
      if (!refusal.unreachable) key.current = null;
      throw refusal;
    }
  };
}

/** Gives the focus back to whatever had it when the component appeared. */
export function useFocusReturn() {
  useEffect(() => {
    const before = document.activeElement;
    return () => {
      if (before?.isConnected && before !== document.body) before.focus();
    };
  }, []);
}
