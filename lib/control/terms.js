/**
 * What operators set and type. The texts of errors, and what is advised, name options and methods of
 * the library; a host whose operators set options elsewhere says where (`optionName`).
 */

/** @typedef {(option: string, key: string | null) => string} OptionName */

/**
 * Each mention of an option: between backticks, or as no other word is written; what was said of
 * one tenant with that before it.
 */
const OPTIONS =
  /the option `(?<bare>\w+)`|`(?<user>user)`|(?:\btenant\("(?:[^"\\]|\\.)*"\)\.)?\b(?<path>(?:limits|isolation|survive)\.\w+|isolation(?= \(")|idleAfterMs|maxConcurrent|readinessPath|(?:readiness|stop)TimeoutMs)\b/g;

/** Methods that operators do not call, but by the actions of a control. */
const CLEAR = /clearBackoff\(\) to retry/g;
const WAITING = /^(Tenant ".*?" is backing off after \d+ failure\(s\); retry in \d+ms)(?=\. )/s;
const REFUSED = /[;,] (?:ensure|restart|replace)\(\) refused/g;

/**
 * The text in an operator's terms.
 * @param {string} text
 * @param {OptionName} optionName
 * @param {string | null} key of the tenant that it is about
 */
export function inTerms(text, optionName, key) {
  const options = text.replace(OPTIONS, (mention, ...groups) => {
    const { bare, user, path } = groups.at(-1);
    const option = user === undefined ? (bare ?? path) : 'isolation.user';
    const name = optionName(option, key);
    return name === option ? mention : name;
  });
  return options
    .replace(CLEAR, '`clear` lets it be started again')
    .replace(WAITING, '$1, at once by `restart`, or after `clear`')
    .replace(REFUSED, '');
}
