// The page: which view is shown, the keyboard, and whether what it shows is still true.
import { openHelp } from './dialogs.js';
import { byId, fill, h, takesText } from './dom.js';
import { openEvents } from './events.js';
import { duration, setHostTime, timeOf } from './format.js';
import { openHost } from './host.js';
import { ask, createLink } from './link.js';
import { openOverview } from './overview.js';
import { plain } from './plain.js';
import { openTenant } from './tenant.js';

/** @typedef {import('./shapes.js').View} View */
/** @typedef {import('./shapes.js').Host} Host */

/** For how long a message stays. */
const SAID_MS = 6000;

const link = createLink(linkChanged);
/** @type {Host | undefined} */
let host;
/** @type {View | undefined} */
let view;
/** @type {boolean | undefined} not known yet */
let mayAct;

/** @type {import('./shapes.js').Context} */
const context = { link, say, mayAct: () => mayAct, host: () => host, setHost };

/** @param {Host} now */
function setHost(now) {
  // A host of another version has another page.
  if (host !== undefined && host.version !== now.version) location.reload();
  host = now;
  setHostTime(now.now);
  showTop();
}

function openView() {
  const [, part = '', key] = location.hash.split('/');
  view?.close();
  byId('main').replaceChildren();
  scrollTo({ top: 0 });
  const isFirst = view === undefined;
  view = viewOf(part, key);
  byId('main').append(view.element);
  if (!isFirst) view.focus();
  for (const each of document.querySelectorAll('nav a')) {
    const isShown = each.getAttribute('href') === `#/${part === 'tenants' ? '' : part}`;
    if (isShown) each.setAttribute('aria-current', 'page');
    else each.removeAttribute('aria-current');
  }
  showTop();
}

/** @param {string} part @param {string | undefined} key */
function viewOf(part, key) {
  if (part === 'tenants' && key) return openTenant(context, decoded(key));
  if (part === 'events') return openEvents(context);
  if (part === 'host') return openHost(context);
  return openOverview(context);
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function showTop() {
  const name = plain(host?.name ?? 'Host');
  const isLost = link.isLost();
  byId('host-name').textContent = name;
  document.title = `${isLost ? 'gone: ' : ''}${view?.title ?? 'Tenants'} · ${name}`;
  const heardAt = link.heardAt();
  const state = byId('link-state');
  state.dataset.state = isLost ? 'lost' : heardAt === undefined ? 'none' : 'live';
  const text = isLost
    ? 'Host gone'
    : heardAt === undefined
      ? 'Connecting'
      : mayAct === false
        ? 'Live, read only'
        : 'Live';
  if (state.textContent !== text) state.textContent = text;
  const draining = host?.runtime.draining === true && !isLost;
  byId('gone').hidden = !isLost && !draining;
  if (draining)
    goneText(
      `${name} is draining`,
      'it takes no new requests, and ends when those under way have.',
    );
}

/**
 * The words once, which are read out; the time beside them, which is not.
 * @param {string} what
 * @param {string} more
 */
function goneText(what, more) {
  const gone = byId('gone');
  if (gone.dataset.what === what) {
    const time = gone.querySelector('.since');
    if (time !== null) time.textContent = more;
    return;
  }
  gone.dataset.what = what;
  fill(gone, h('strong', {}, what), ' ', h('span', { class: 'since', 'aria-live': 'off' }, more));
}

function linkChanged() {
  document.documentElement.dataset.link = link.isLost() ? 'lost' : 'live';
  if (!link.isLost()) void learn();
  second();
}

function second() {
  showTop();
  if (link.isLost()) {
    const at = link.heardAt();
    const more =
      at === undefined
        ? 'Trying to reach it.'
        : `What you see is from ${timeOf(at)}, ${duration(Date.now() - at)} ago. ` +
          'Trying to reach it.';
    const name = plain(host?.name ?? 'The host');
    const why = plain(link.refusal());
    goneText(why === '' ? `${name} does not answer.` : `${name} tells nothing: ${why}`, more);
  }
  view?.tick();
}

/** Whose page this is, and what it may do there: a host that came back may have another token. */
async function learn() {
  const [rights, itself] = await Promise.all([ask('/access'), ask('/host')]);
  if (itself.status === 200) setHost(itself.value);
  if (rights.status !== 200 || rights.value.mayAct === mayAct) return;
  mayAct = rights.value.mayAct;
  second();
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let saying;

/** @param {string} text */
function say(text) {
  clearTimeout(saying);
  byId('said').textContent = text;
  saying = setTimeout(() => (byId('said').textContent = ''), SAID_MS);
}

const THEMES = ['system', 'light', 'dark'];

/** @param {boolean} isNext */
function theme(isNext) {
  const { dataset } = document.documentElement;
  const at = Math.max(0, THEMES.indexOf(dataset.theme ?? 'system'));
  const now = THEMES[(at + (isNext ? 1 : 0)) % THEMES.length] ?? 'system';
  if (now === 'system') delete dataset.theme;
  else dataset.theme = now;
  try {
    localStorage.setItem('theme', now);
  } catch {
    // It lasts as long as the page, then.
  }
  byId('theme').setAttribute('aria-label', `Theme: ${now}`);
  byId('theme').title = `Theme: ${now}`;
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (document.querySelector('dialog[open]') !== null) return;
  const isText = takesText(event.target);
  const isRadio = event.target instanceof HTMLInputElement && !isText;
  if (isText && !['Escape', 'ArrowDown'].includes(event.key)) return;
  if (isText && event.target instanceof HTMLSelectElement) return;
  if (isRadio && event.key.startsWith('Arrow')) return;
  if (
    event.target instanceof Element &&
    event.target.matches('.lines, pre') &&
    event.key.startsWith('Arrow')
  )
    return;
  if (event.key === '?') openHelp();
  else if (!view?.key(event)) {
    if (event.key !== 'Escape' || location.hash === '#/' || location.hash === '') return;
    location.hash = '#/';
  }
  event.preventDefault();
});

byId('help').addEventListener('click', openHelp);
byId('theme').addEventListener('click', () => theme(true));
addEventListener('hashchange', openView);
document.querySelector('.skip')?.addEventListener('click', (event) => {
  event.preventDefault();
  byId('main').focus();
});
theme(false);
openView();
void learn();
setInterval(second, 1000);
