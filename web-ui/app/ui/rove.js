// Roving focus in a list: one tab stop, arrows move between the rows.
import { html, useRef, useState } from './h.js';
import { rove } from './keymap.js';

/**
 * @param {{ ids: string[], current?: string, label: string, row: (id: string, props: object) => any }} props
 *   `row` spreads its second argument on the row's link or button
 */
export function RoveList({ ids, current, label, row }) {
  const list = useRef(null);
  const [last, setLast] = useState(null);
  const stop = ids.includes(last) ? last : ids.includes(current) ? current : ids[0];
  const onKeyDown = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const rows = [...list.current.querySelectorAll('[data-rove]')];
    const to = rove(event.key, rows.indexOf(document.activeElement), rows.length);
    if (to === null || !rows.includes(document.activeElement)) return;
    event.preventDefault();
    rows[to].focus();
  };
  return html`<ul ref=${list} aria-label=${label} onKeyDown=${onKeyDown}>
    ${ids.map((id) => html`<li key=${id}>${row(id, {
      'data-rove': id,
      tabIndex: id === stop ? 0 : -1,
      onFocus: () => setLast(id),
    })}</li>`)}
  </ul>`;
}
