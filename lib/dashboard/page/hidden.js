// Characters that are not seen, or that change how what is around them is read: one list, for the
// page and for the commands in a terminal.

/**
 * Control characters but for the tab and the line feed, whatever is not drawn (spaces without a
 * width, the soft hyphen, marks of direction, fillers, tags), and separators of lines and
 * paragraphs. Variation selectors are left: they only choose how an emoji is drawn.
 */
export const HIDDEN =
  /(?![\t\n\p{Variation_Selector}])[\p{Cc}\p{Default_Ignorable_Code_Point}\u2028\u2029\ufff9-\ufffb]/gu;

/**
 * A hidden character as a visible one, or as its number between these marks.
 * @param {string} character
 * @param {string} before
 * @param {string} after
 */
export function spelt(character, before, after) {
  const code = character.codePointAt(0) ?? 0;
  // The symbols for control characters have a block of their own.
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return '\u2421';
  return `${before}U+${code.toString(16).toUpperCase().padStart(4, '0')}${after}`;
}
