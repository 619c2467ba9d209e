/** SIGHUP: reads the settings again, applies what can be applied, and says what cannot. */
import { harmless } from '../text.js';
import { certificates } from './host.js';
import { liveNames } from './tenants.js';

/** @typedef {import('../settings.js').Settings} Settings */

/**
 * The settings that hold from now on: the new ones as far as a running host can take them.
 *
 * @param {Settings} before
 * @param {Settings} now
 * @returns {{ settings: Settings, applied: string[], refused: string[] }}
 */
export function reloaded(before, now) {
  const names = new Set([...Object.keys(before.texts), ...Object.keys(now.texts)]);
  const changed = [...names].filter((name) => before.texts[name] !== now.texts[name]);
  // A host that began without a config file does not ask anything at the starts of tenants.
  const isAsked = before.file !== undefined;
  const applied = changed.filter(
    (name) => isAsked && liveNames.includes(name) && isTakable(name, before),
  );
  const refused = changed.filter((name) => !applied.includes(name));
  const settings = {
    ...before,
    values: { ...before.values },
    texts: { ...before.texts },
    origins: { ...before.origins },
    ...(isAsked && { tenant: now.tenant, file: now.file }),
  };
  for (const name of applied) {
    settings.values[name] = now.values[name];
    settings.texts[name] = /** @type {string} */ (now.texts[name]);
    settings.origins[name] = /** @type {string} */ (now.origins[name]);
  }
  const change = (/** @type {string} */ name) =>
    harmless(`${name} (${before.texts[name] ?? 'none'} → ${now.texts[name] ?? 'none'})`);
  const isMoved = before.dir !== now.dir;
  return {
    settings,
    applied: applied.map(change),
    refused: [
      ...refused.map(change),
      ...(!isAsked && now.tenant ? ['tenant'] : []),
      ...(isMoved ? [harmless(`dir (${before.dir} → ${now.dir})`)] : []),
    ],
  };
}

/** TLS can be renewed, but neither begun nor ended. @param {string} name @param {Settings} before */
const isTakable = (name, before) => !name.startsWith('tls-') || name in before.texts;

/**
 * @param {Settings} before
 * @param {Settings} now
 * @param {import('./host.js').Host} host
 * @param {(text: string) => void} complain
 * @returns {Settings}
 */
export function apply(before, now, { gateway }, complain) {
  const { settings, applied, refused } = reloaded(before, now);
  // The same names may hold a renewed certificate.
  const renewed = certificates(settings.values);
  if (renewed) gateway.setCertificates(renewed);
  complain(`SIGHUP: read ${harmless(now.file ?? 'the settings')} again.`);
  const kept = [
    ...applied,
    ...(settings.tenant || before.tenant ? ['tenant'] : []),
    ...(renewed ? ['certificates'] : []),
  ];
  if (kept.length > 0) complain(`  from the next start on: ${kept.join(', ')}`);
  if (refused.length > 0) complain(`  only with a new host: ${refused.join(', ')}`);
  if (kept.length === 0 && refused.length === 0) complain('  nothing has changed');
  return settings;
}
