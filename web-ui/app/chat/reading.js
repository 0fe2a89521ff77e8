// Read means: it was visible in a tab that had the person's eyes.
import { useEffect, useRef } from '../ui/h.js';
import { putRead } from './actions.js';

/** Reports at most this often. */
const REPORT_MS = 250;

/** Reports the newest of their messages whose end is on screen, once. */
export function useReading({ log, chat, messages, focused }) {
  const told = useRef(null);
  const timer = useRef(null);
  const looked = useRef(-REPORT_MS);
  const now = useRef(null);
  now.current = () => {
    timer.current = null;
    looked.current = performance.now();
    if (!focused || chat.unread === 0 || !log.current) return;
    const seen = newestVisible(log.current, messages);
    if (!seen || (told.current && seen.position <= told.current)) return;
    const before = told.current;
    told.current = seen.position;
    putRead(chat.id, seen.id).catch(() => {
      told.current = before;
    });
  };
  const soon = () => {
    timer.current ??= setTimeout(() => now.current(), Math.max(0, looked.current + REPORT_MS - performance.now()));
  };
  useEffect(() => {
    soon();
  }, [messages, focused, chat.unread]);
  useEffect(() => {
    const box = log.current;
    box.addEventListener('scroll', soon, { passive: true });
    return () => {
      box.removeEventListener('scroll', soon);
      clearTimeout(timer.current);
    };
  }, []);
}

function newestVisible(log, messages) {
  const { top, bottom } = log.getBoundingClientRect();
  const theirs = [...log.querySelectorAll('[data-theirs]')];
  for (let at = theirs.length - 1; at >= 0; at -= 1) {
    const box = theirs[at].getBoundingClientRect();
    if (box.bottom <= bottom + 8 && box.bottom > top) return messages.find((each) => each.id === theirs[at].dataset.message);
    // A message taller than the view counts once its end or all of the view was shown.
    if (box.top <= top && box.bottom >= bottom) return messages.find((each) => each.id === theirs[at].dataset.message);
  }
  return null;
}
