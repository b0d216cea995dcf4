import assert from 'node:assert/strict';
import test from 'node:test';
import { rules } from '../../page/formulas.js';
import { Lexer, type Token } from '../../page/lib/marked.js';

/** The formulas of a text, those that stand apart in brackets. */
function formulas(text: string): string[] {
  const found: string[] = [];
  const look = (tokens: readonly Token[] = []) => {
    for (const t of tokens) {
      if (t.type === 'math') found.push(t.display ? `[${t.text}]` : t.text!);
      look(t.tokens);
      look(t.items);
      for (const cell of [t.header, ...(t.rows ?? [])].flat()) if (typeof cell === 'object') look(cell.tokens);
    }
  };
  look(new Lexer({ gfm: true, breaks: false, extensions: rules }).lex(text));
  return found;
}

test('formulas are found where they are, and nowhere else', () => {
  const cases: [string, ...string[]][] = [
    ['So $x^2$ and \\(y_1\\).', 'x^2', 'y_1'],
    ['$$\n\\frac{a}{b}\n$$', '[\\frac{a}{b}]'],
    ['\\[ a = b \\]', '[a = b]'],
    ['We have\n$$\na\n$$\nthen', '[a]'],
    ['As $$a$$ and \\[b\\] in a line', '[a]', '[b]'],
    ['- $a$\n- b\n\n| $c$ | d |\n|-|-|\n| e | \\(f\\) |', 'a', 'c', 'f'],
    ['**bold $a*b*c$**', 'a*b*c'],
    ['It costs $5 and $10, or $5-$10.'],
    ['Between $ 5 $ or $5 $'],
    ['`$x$` and \\$x\\$'],
    ['```\n$$x$$\n```'],
    ['$unclosed'],
    ['$$unclosed\n\nmore'],
    ['$$$$ and $$', '[and]'],
    ['$a$5'],
    ['\\(unclosed and \\[too'],
  ];
  for (const [text, ...want] of cases) assert.deepEqual(formulas(text), want, text);
});
