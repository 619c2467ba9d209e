// Questions and help: each is a dialog that Esc closes, and that gives focus back.
import { h } from './dom.js';

/**
 * @param {string} title
 * @param {...import('./dom.js').Child} content
 */
export function openDialog(title, ...content) {
  const heading = h('h2', { id: 'dialog-title' }, title);
  const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, heading, ...content);
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

const KEYS = [
  ['/', 'search'],
  ['↑ ↓', 'to another tenant'],
  ['Enter', 'open it'],
  ['Esc', 'clear the search, or back to all tenants'],
  ['?', 'this help'],
];

export function openHelp() {
  const dialog = openDialog(
    'Keyboard',
    h(
      'dl',
      { class: 'keys' },
      ...KEYS.map(([key = '', does = '']) =>
        h('div', {}, h('dt', {}, h('kbd', {}, key)), h('dd', {}, does)),
      ),
    ),
    h('p', { class: 'note' }, 'Point at a figure to see the field that it comes from.'),
    h(
      'p',
      { class: 'buttons' },
      h('button', { type: 'button', autofocus: true, click: () => dialog.close() }, 'Close'),
    ),
  );
}
