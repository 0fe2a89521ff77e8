// Icons: one path each on a 20 grid, drawn with a 1.6 stroke in the colour of
// the words beside them. An icon is decoration; the control around it has the name.
import { html } from './h.js';

/** @type {Record<string, string>} */
export const ICONS = {
  chats: 'M3.5 5.5a2 2 0 0 1 2-2h9a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H9.5L6 16.5v-3h-.5a2 2 0 0 1-2-2z',
  meet: 'M3 13.4a2.4 2.4 0 1 0 4.8 0a2.4 2.4 0 1 0 -4.8 0zM12.2 6.6a2.4 2.4 0 1 0 4.8 0a2.4 2.4 0 1 0 -4.8 0zM7.4 12l5.2-4M15 12.5v4M13 14.5h4',
  gear: 'M4 6h4.2M12.2 6H16M4 14h3.8M11.8 14H16M8.2 6a2 2 0 1 0 4 0a2 2 0 1 0 -4 0zM7.8 14a2 2 0 1 0 4 0a2 2 0 1 0 -4 0z',
  search: 'M3.8 9a5.2 5.2 0 1 0 10.4 0a5.2 5.2 0 1 0 -10.4 0zM13 13l3.6 3.6',
  close: 'M5 5l10 10M15 5 5 15',
  back: 'M12.5 4.5 7 10l5.5 5.5',
  next: 'M7.5 4.5 13 10l-5.5 5.5',
  down: 'M4.5 7.5 10 13l5.5-5.5',
  send: 'M4 10h11.5M10.5 4.8 15.7 10l-5.2 5.2',
  image: 'M5 4h10a2 2 0 0 1 2 2v8a2 2 0 0 1 -2 2h-10a2 2 0 0 1 -2 -2v-8a2 2 0 0 1 2 -2zM5.9 8a1.3 1.3 0 1 0 2.6 0a1.3 1.3 0 1 0 -2.6 0zM3.5 14l4-3.6 2.8 2.4 2.9-3 3.8 3.7',
  qr: 'M4.5 3.5h3a1 1 0 0 1 1 1v3a1 1 0 0 1 -1 1h-3a1 1 0 0 1 -1 -1v-3a1 1 0 0 1 1 -1zM12.5 3.5h3a1 1 0 0 1 1 1v3a1 1 0 0 1 -1 1h-3a1 1 0 0 1 -1 -1v-3a1 1 0 0 1 1 -1zM4.5 11.5h3a1 1 0 0 1 1 1v3a1 1 0 0 1 -1 1h-3a1 1 0 0 1 -1 -1v-3a1 1 0 0 1 1 -1zM11.5 11.5h2v2M16.5 11.5v.1M11.5 16.5h2M16.5 14v2.5',
  camera: 'M3 7.5a1.5 1.5 0 0 1 1.5-1.5h2L8 4h4l1.5 2h2A1.5 1.5 0 0 1 17 7.5v7a1.5 1.5 0 0 1-1.5 1.5h-11A1.5 1.5 0 0 1 3 14.5zM7.2 10.8a2.8 2.8 0 1 0 5.6 0a2.8 2.8 0 1 0 -5.6 0z',
  link: 'M8.3 11.7l3.4-3.4M9.2 6.3l1.7-1.7a3.2 3.2 0 0 1 4.5 4.5l-1.7 1.7M10.8 13.7l-1.7 1.7a3.2 3.2 0 0 1-4.5-4.5l1.7-1.7',
  copy: 'M8.8 7h5.9a1.8 1.8 0 0 1 1.8 1.8v5.9a1.8 1.8 0 0 1 -1.8 1.8h-5.9a1.8 1.8 0 0 1 -1.8 -1.8v-5.9a1.8 1.8 0 0 1 1.8 -1.8zM13 7V5.3a1.8 1.8 0 0 0-1.8-1.8H5.3a1.8 1.8 0 0 0-1.8 1.8v5.9A1.8 1.8 0 0 0 5.3 13H7',
  save: 'M10 3.5v9M6.3 9 10 12.7 13.7 9M4 16.5h12',
  check: 'M4.5 10.5l3.7 3.7 7.3-8',
  alert: 'M10 3.5 17 16H3zM10 8.3v3.2M10 13.7v.1',
  info: 'M3.2 10a6.8 6.8 0 1 0 13.6 0a6.8 6.8 0 1 0 -13.6 0zM10 9.3v4M10 6.6v.1',
  clock: 'M3.2 10a6.8 6.8 0 1 0 13.6 0a6.8 6.8 0 1 0 -13.6 0zM10 6.2V10l2.6 1.8',
  refresh: 'M16 10a6 6 0 1 1-1.8-4.3L16 7.5M16 3.8v3.7h-3.7',
  node: 'M5.1 4h9.8a1.6 1.6 0 0 1 1.6 1.6v5.3a1.6 1.6 0 0 1 -1.6 1.6h-9.8a1.6 1.6 0 0 1 -1.6 -1.6v-5.3a1.6 1.6 0 0 1 1.6 -1.6zM2.5 16h15M8 16l.5-3.5M12 16l-.5-3.5',
  lock: 'M6.3 9h7.4a1.8 1.8 0 0 1 1.8 1.8v3.9a1.8 1.8 0 0 1 -1.8 1.8h-7.4a1.8 1.8 0 0 1 -1.8 -1.8v-3.9a1.8 1.8 0 0 1 1.8 -1.8zM7 9V6.7a3 3 0 0 1 6 0V9',
  people: 'M4.8 7.5a2.7 2.7 0 1 0 5.4 0a2.7 2.7 0 1 0 -5.4 0zM2.8 16a4.7 4.7 0 0 1 9.4 0M12.3 5.1a2.7 2.7 0 0 1 0 4.8M14.2 12a4.7 4.7 0 0 1 3 4',
  trash: 'M4 5.5h12M8 5.5V3.8h4v1.7M5.5 5.5l.7 10a1 1 0 0 0 1 1h5.6a1 1 0 0 0 1-1l.7-10',
  moon: 'M15.8 11.8A6.3 6.3 0 0 1 8.2 4.2a6.3 6.3 0 1 0 7.6 7.6z',
  key: 'M3.6 13.2a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0zM9.1 10.9l6.7-6.7M13.2 6.8l2.2 2.2',
  shield: 'M10 3 4.5 5v4.5c0 3.6 2.3 6.2 5.5 7.5 3.2-1.3 5.5-3.9 5.5-7.5V5zM7.6 10l1.8 1.8 3.2-3.5',
  screen: 'M4.8 4h10.4a1.8 1.8 0 0 1 1.8 1.8v5.9a1.8 1.8 0 0 1 -1.8 1.8h-10.4a1.8 1.8 0 0 1 -1.8 -1.8v-5.9a1.8 1.8 0 0 1 1.8 -1.8zM7.5 16.5h5M10 10.8V7M8.2 8.6 10 6.8l1.8 1.8',
};

/** One icon. `small` draws it at 16 px. */
export function Icon({ name, small }) {
  return html`<svg class=${small ? 'i s' : 'i'} viewBox="0 0 20 20" aria-hidden="true"><path d=${ICONS[name]} /></svg>`;
}

/** The glyph: two nodes and one bond. */
export function Glyph({ tint }) {
  return html`<svg class=${tint ? 'glyph tint' : 'glyph'} viewBox="0 0 32 32" aria-hidden="true">
    <path d="M9.5 5v22M23.5 7.5 9.5 16l14 8.5" /><circle class="nd" cx="23.5" cy="7.5" r="3.6" /><circle class="nd" cx="23.5" cy="24.5" r="3.6" />
  </svg>`;
}

/** The wordmark, named "Kith" for those who hear it. */
export function Wordmark() {
  return html`<svg class="wordmark" viewBox="0 0 100 32" role="img" aria-label="Kith">
    <g class="gl"><path d="M9.5 5v22M23.5 7.5 9.5 16l14 8.5" /><circle class="nd" cx="23.5" cy="7.5" r="3.6" /><circle class="nd" cx="23.5" cy="24.5" r="3.6" /></g>
    <path d="M40 14.5V27M55 7v16a4 4 0 0 0 4 4h2.5M50.5 14.5h11M72.5 5v22M72.5 20.5a6 6 0 0 1 12 0V27" /><circle class="nd" cx="40" cy="7.6" r="2.5" />
  </svg>`;
}
