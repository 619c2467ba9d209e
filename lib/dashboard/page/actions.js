// What can be done to a tenant. Each is asked about first, and says what the tenant then is.
import { fill, h } from './dom.js';
import { openDialog } from './dialogs.js';
import { count } from './format.js';
import { ask } from './link.js';
import { plain } from './plain.js';
import { sentence } from './words.js';

/** @typedef {import('./shapes.js').Tenant} Tenant */

/**
 * @typedef {object} Action
 * @property {string} id as in the path
 * @property {string} name
 * @property {string[]} states in which it makes sense
 * @property {(tenant: Tenant) => boolean} [fits] and when, if not always
 * @property {string} doing
 * @property {(tenant: Tenant) => string} means
 * @property {boolean} [isHard] it interrupts what goes on
 */

/** @type {Action[]} */
const ACTIONS = [
  {
    id: 'start',
    name: 'Start',
    states: ['stopped', 'failed'],
    doing: 'Starting',
    means: () => 'A process is started, as a request would.',
  },
  {
    id: 'start',
    name: 'Wake',
    states: ['asleep'],
    doing: 'Waking',
    means: () => 'Its process goes on, as with the next request.',
  },
  {
    id: 'replace',
    name: 'Replace',
    states: ['running', 'asleep'],
    doing: 'Replacing',
    means: () =>
      'A new process is started beside this one, and takes over when it is ready. No request is ' +
      'lost; if it fails, this one goes on.',
  },
  {
    id: 'restart',
    name: 'Restart',
    states: ['running', 'asleep', 'backing-off'],
    doing: 'Restarting',
    means: (tenant) =>
      tenant.pid === null
        ? 'A process is started now, without waiting for the back-off to end.'
        : `Process ${tenant.pid} is stopped, then a new one is started.${under(tenant)}`,
    isHard: true,
  },
  {
    id: 'clear',
    name: 'Clear back-off',
    states: ['backing-off', 'failed'],
    doing: 'Clearing',
    fits: ({ attempt }) => attempt > 0,
    means: () => 'Its failures are forgotten: the next request starts it.',
  },
  {
    id: 'stop',
    name: 'Stop',
    states: ['running', 'asleep', 'starting'],
    doing: 'Stopping',
    means: (tenant) =>
      `Process ${tenant.pid ?? ''} and all that it started is stopped.${under(tenant)} ` +
      'The next request starts it again.',
    isHard: true,
  },
];

/** @param {Tenant} tenant */
function under({ inFlight }) {
  if (inFlight === 0) return '';
  const requests = inFlight === 1 ? 'request is' : 'requests are';
  return ` ${count(inFlight)} ${requests} under way, and waited for.`;
}

/** @param {import('./shapes.js').Context} context */
export function createActions({ link, mayAct, say }) {
  const element = h('div', { class: 'actions' });
  let shown = '';
  /** @type {Tenant | undefined} */
  let latest;

  /** @param {Tenant} tenant */
  function show(tenant) {
    latest = tenant;
    const fitting = ACTIONS.filter(
      ({ states, fits }) => states.includes(tenant.state) && fits?.(tenant) !== false,
    );
    const offer = [mayAct(), link.isLost(), ...fitting.map(({ id }) => id)].join();
    if (offer === shown) return;
    shown = offer;
    if (mayAct() === undefined) return;
    if (!mayAct()) {
      const why = 'Open the link with the token, which was printed when the dashboard started.';
      return fill(
        element,
        h('p', { class: 'note', title: why }, 'Read only: actions take the token'),
      );
    }
    const hadFocus = element.contains(document.activeElement);
    fill(element, ...fitting.map((action, index) => buttonOf(action, index === 0)));
    // The button that was pressed may have gone with the state.
    if (hadFocus) element.querySelector('button')?.focus();
  }

  /** @param {Action} action @param {boolean} isFirst */
  function buttonOf(action, isFirst) {
    const open = () => latest !== undefined && question(action, latest, say);
    const button = h(
      'button',
      { type: 'button', class: isFirst ? 'first' : '', click: open },
      action.name,
    );
    button.disabled = link.isLost();
    return button;
  }

  return { element, show };
}

/** @param {Action} action @param {Tenant} tenant @param {(text: string) => void} say */
function question(action, tenant, say) {
  const name = plain(tenant.key);
  const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  const go = h(
    'button',
    { type: 'button', class: action.isHard ? 'first hard' : 'first', autofocus: true, click: act },
    action.name,
  );
  const dialog = openDialog(
    `${action.name}: ${name}?`,
    h('p', {}, action.means(tenant)),
    problem,
    h(
      'p',
      { class: 'buttons' },
      h('button', { type: 'button', click: () => dialog.close() }, 'Cancel'),
      go,
    ),
  );

  async function act() {
    go.disabled = true;
    go.textContent = `${action.doing} …`;
    const path = `/tenants/${encodeURIComponent(tenant.key)}/${action.id}`;
    const { status, value, error } = await ask(path, { method: 'POST' });
    if (status === 200) {
      say(`${name}: ${sentence(value, false)}`);
      return dialog.close();
    }
    problem.hidden = false;
    problem.textContent =
      status === undefined
        ? 'The host does not answer.'
        : plain(error?.message ?? `answer ${status}`);
    go.disabled = false;
    go.textContent = `${action.name} again`;
  }
}
