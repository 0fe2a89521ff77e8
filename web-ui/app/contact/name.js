// What to call a person. Pure.
import { t } from '../i18n/index.js';
import { cleanName } from '../ui/text.js';

/** Our own alias first, then the name that they chose. */
export const contactName = (contact) => cleanName(contact?.alias || contact?.name, t('contact/unnamed'));

/** The name over a chat. */
export const chatName = (chat, contacts) =>
  contacts[chat.contact_id] ? contactName(contacts[chat.contact_id]) : cleanName(chat.name, t('contact/unnamed'));

/** The name that somebody who isn't a contact claims. */
export const claimedName = (request) => cleanName(request.name, '');
