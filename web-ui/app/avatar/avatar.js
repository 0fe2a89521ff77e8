// A person's circle: pigment and weave from the key, the letter from the name.
import { html, useId, useMemo } from '../ui/h.js';
import { initial } from '../ui/text.js';
import { t } from '../i18n/index.js';
import { weave } from './weave.js';

const SIZES = { xs: 'av av-xs', s: 'av av-s', m: 'av', l: 'av av-l', xl: 'av av-xl' };

/** @param {{ seed: string, name: string, size?: 'xs'|'s'|'m'|'l'|'xl', presence?: string }} props */
export function Avatar({ seed, name, size = 'm', presence }) {
  const { pigment, path } = useMemo(() => weave(seed), [seed]);
  const clip = useId();
  return html`<span class=${`${SIZES[size]} kin-${pigment}`}>
    <svg class="av-svg" viewBox="0 0 40 40" aria-hidden="true">
      <clipPath id=${clip}><circle cx="20" cy="20" r="20" /></clipPath>
      <circle class="av-bg" cx="20" cy="20" r="20" />
      <path class="av-weave" clip-path=${`url(#${clip})`} d=${path} />
      <circle class="av-rim" cx="20" cy="20" r="19.5" />
      ${name && html`<text class="av-t" x="20" y="26.5">${initial(name)}</text>`}
    </svg>
    ${presence === 'online' && html`<span class="pres" role="img" aria-label=${t('presence/here')}></span>`}
    ${presence === 'away' && html`<span class="pres pres-away" role="img" aria-label=${t('presence/away')}></span>`}
  </span>`;
}
