// Where formulas are in Markdown: $…$ and \(…\) in a line, $$…$$ and \[…\] apart. These rules are for the lexer of marked.

/** A formula, as the lexer finds it. */
export interface Formula {
  type: 'math';
  raw: string;
  text: string; // TeX
  display: boolean;
}

/** How far the lexer looks for one, in characters: it looks again and again. */
const far = 4000;

// A dollar that follows a blank ends nothing, nor does one before a digit: prices are no formulas.
const inline =
  /^(?:\$\$((?:\\.|[^$\\]){1,4000})\$\$|\$(?![\s$])((?:\\.|[^$\\\n]){0,1000}[^$\\\s]|\\.)\$(?!\d)|\\\((.{1,4000}?)\\\)|\\\[(.{1,4000}?)\\\])/s;
const block = /^ {0,3}(?:\$\$((?:\\[\s\S]|[^$\\]){1,4000})\$\$|\\\[([\s\S]{1,4000}?)\\\])[ \t]*(?:\n+|$)/;

function formula(match: RegExpExecArray | null, display: boolean): Formula | undefined {
  const text = match?.slice(1).find((part) => part !== undefined);
  return match && text?.trim() ? { type: 'math', raw: match[0], text: text.trim(), display } : undefined;
}

/** Whether there may be a formula in a text. */
export function mayHave(markdown: string): boolean {
  return /\$|\\[([]/.test(markdown);
}

/** The rules, as marked takes them. */
export const rules = {
  inline: [
    (src: string) => (/^\$|^\\[([]/.test(src) ? formula(inline.exec(src), /^(?:\$\$|\\\[)/.test(src)) : undefined),
  ],
  startInline: [(src: string) => found(src.slice(0, far).search(/\$|\\[([]/))],
  block: [(src: string) => (/^ {0,3}(?:\$\$|\\\[)/.test(src) ? formula(block.exec(src), true) : undefined)],
  startBlock: [(src: string) => found(src.slice(0, far).search(/\n {0,3}(?:\$\$|\\\[)/))],
};

const found = (at: number) => (at < 0 ? undefined : at);
