// Times, days and sizes in words. Pure: `now` and the locale are arguments.
import { t } from '../i18n/index.js';

let place = { locale: 'en-GB', timeZone: undefined };

/** Sets the locale and, for tests, the time zone. */
export function setPlace(next) {
  place = { ...place, ...next };
  cache.clear();
}

const cache = new Map();
function formatter(name, options) {
  if (!cache.has(name)) cache.set(name, new Intl.DateTimeFormat(place.locale, { ...options, timeZone: place.timeZone }));
  return cache.get(name);
}

/** "10:31" */
export const clock = (iso) => formatter('clock', { hour: '2-digit', minute: '2-digit' }).format(new Date(iso));
/** "10:31:04" */
export const clockSeconds = (iso) =>
  formatter('seconds', { hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(new Date(iso));
/** "6 December" */
export const date = (iso) => formatter('date', { day: 'numeric', month: 'long' }).format(new Date(iso));
const dateYear = (iso) => formatter('dateYear', { day: 'numeric', month: 'long', year: 'numeric' }).format(new Date(iso));
const weekday = (iso) => formatter('weekday', { weekday: 'long' }).format(new Date(iso));
const weekdayShort = (iso) => formatter('weekdayShort', { weekday: 'short' }).format(new Date(iso));
const dayNumber = (iso) => formatter('short', { day: 'numeric', month: 'short' }).format(new Date(iso));

/** The calendar day of an instant, as a sortable key. */
export function dayKey(iso) {
  const found = formatter('key', { year: 'numeric', month: '2-digit', day: '2-digit' }).formatToParts(new Date(iso));
  const get = (type) => found.find((each) => each.type === type).value;
  return `${get('year')}-${get('month')}-${get('day')}`;
}

/** Whole calendar days from `iso` to `now`; negative in the future. */
export function daysAgo(iso, now) {
  const noon = (key) => Date.parse(`${key}T12:00:00Z`);
  return Math.round((noon(dayKey(now)) - noon(dayKey(iso))) / 86_400_000);
}

/** The heading of a day in a conversation. */
export function dayLabel(iso, now) {
  const ago = daysAgo(iso, now);
  if (ago === 0) return t('day/today');
  if (ago === 1) return t('day/yesterday');
  if (ago > 1 && ago < 7) return weekday(iso);
  return dayKey(iso).slice(0, 4) === dayKey(now).slice(0, 4) ? date(iso) : dateYear(iso);
}

/** The time on a row of a list: a clock today, a day before that. */
export function rowTime(iso, now) {
  const ago = daysAgo(iso, now);
  if (ago <= 0) return clock(iso);
  if (ago === 1) return t('day/yesterday');
  return ago < 7 ? weekdayShort(iso) : dayNumber(iso);
}

/** "today at 14:02", "on Tuesday at 09:30", "on 3 July" */
export function moment(iso, now) {
  const ago = daysAgo(iso, now);
  if (ago === 0) return t('moment/today', { time: clock(iso) });
  if (ago === 1) return t('moment/yesterday', { time: clock(iso) });
  if (ago > 1 && ago < 7) return t('moment/weekday', { day: weekday(iso), time: clock(iso) });
  return t('moment/date', { date: date(iso) });
}

/** A remaining time as a stopwatch: "7:24"; never below zero. */
export function countdown(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** A remaining time in the largest unit that fits: "21 hours". */
export function remaining(ms) {
  const minutes = Math.max(1, Math.round(ms / 60_000));
  if (minutes < 60) return t('span/minutes', { n: minutes });
  const hours = Math.round(minutes / 60);
  return hours < 48 ? t('span/hours', { n: hours }) : t('span/days', { n: Math.round(hours / 24) });
}

/** How long something has been up: "3 hours". */
export const uptime = (seconds) => remaining(seconds * 1000);
