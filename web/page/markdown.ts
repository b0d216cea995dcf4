// Markdown as elements. What a model writes is never parsed as HTML: the lexer of marked cuts it into tokens, and this makes
// an element of each token of a kind that it knows; all else, tags too, is text. Images are not loaded, they become links.
// This is a script of its own, which the page loads when there is something to show.
import { plain, safeLink } from './chat/links.js';
import { mayHave, rules } from './formulas.js';
import { formulas, highlighting } from './lazy.js';
import { copyButton } from './lib/copy.js';
import { el } from './lib/dom.js';
import { Lexer, type Token } from './lib/marked.js';

/** Longer texts are shown as they are: nobody waits for their layout. */
const longest = 400_000;
/** Deeper nesting than this is shown as text. */
const deepest = 24;
/** When a block has this many elements, the rest of it is shown as text. */
const most = 10_000;
let left = most;

/** Shows Markdown in an element, again and again as it grows: blocks that have not changed keep their elements. */
export class Rendering {
  private shown: { raw: string; node: Node }[] = [];

  constructor(private readonly root: HTMLElement) {}

  update(markdown: string): void {
    const blocks = lex(markdown);
    let same = 0;
    while (same < blocks.length && blocks[same]!.raw === this.shown[same]?.raw) same++;
    for (const { node } of this.shown.splice(same)) this.root.removeChild(node);
    for (const block of blocks.slice(same)) {
      left = most;
      const node = renderBlock(block, 0);
      this.root.append(node);
      this.shown.push({ raw: block.raw, node });
    }
  }
}

function lex(markdown: string): Token[] {
  if (markdown.length <= longest) {
    try {
      const extensions = mayHave(markdown) ? { extensions: rules } : {};
      return new Lexer({ gfm: true, breaks: false, ...extensions })
        .lex(markdown)
        .filter((t) => t.type !== 'space' && t.type !== 'def');
    } catch {
      // nested too deeply for the lexer
    }
  }
  return [{ type: 'plain', raw: markdown }];
}

function blocks(tokens: readonly Token[] | undefined, depth: number): Node[] {
  return (tokens ?? []).map((t) => renderBlock(t, depth));
}

function renderBlock(t: Token, depth: number): Node {
  if (depth > deepest || left-- < 0) return el('p', { class: 'plain' }, t.raw);
  switch (t.type) {
    case 'paragraph':
      return el('p', {}, ...inlines(t.tokens, depth));
    case 'text': // in a tight list
      return el('span', {}, ...(t.tokens ? inlines(t.tokens, depth) : [plain(t.text ?? t.raw)]));
    case 'heading':
      return el(`h${Math.min(6, (t.depth ?? 1) + 2)}` as 'h3', {}, ...inlines(t.tokens, depth));
    case 'code':
      return codeBlock(t.text ?? '', t.lang ?? '');
    case 'blockquote':
      return el('blockquote', { dir: 'auto' }, ...blocks(t.tokens, depth + 1));
    case 'list':
      return list(t, depth);
    case 'table':
      return table(t, depth);
    case 'math':
      return formula(t);
    case 'hr':
      return el('hr');
    case 'space':
    case 'def':
      return document.createTextNode('');
    case 'checkbox':
      return checkbox(t);
    default:
      return el('p', { class: 'plain' }, t.raw.replace(/\n+$/, ''));
  }
}

function list(t: Token, depth: number): Node {
  const start = Number(t.start);
  const list = t.items ?? [];
  const shown = list.slice(0, Math.max(0, left));
  const items = shown.map((item) => el('li', {}, ...blocks(item.tokens, depth + 1)));
  if (shown.length < list.length) items.push(rest(list.slice(shown.length)));
  return t.ordered
    ? el('ol', { start: start > 1 && start, dir: 'auto' }, ...items)
    : el('ul', { dir: 'auto' }, ...items);
}

/** What is too much, as text. */
function rest(tokens: readonly Token[]): HTMLLIElement {
  return el('li', { class: 'plain' }, tokens.map((t) => t.raw).join(''));
}

function checkbox(t: Token): Node {
  return el('input', {
    type: 'checkbox',
    disabled: true,
    checked: t.checked === true,
    'aria-label': t.checked ? 'done' : 'to do',
  });
}

function table(t: Token, depth: number): Node {
  const cells = (t.rows ?? []).length * ((t.header as Token[] | undefined) ?? []).length;
  if (cells > left) return el('pre', { tabindex: 0 }, t.raw);
  const row = (cells: readonly Token[], tag: 'th' | 'td') =>
    el(
      'tr',
      {},
      ...cells.map((c) => el(tag, { class: c.align ? `to-${c.align}` : undefined }, ...inlines(c.tokens, depth + 1))),
    );
  const grid = el(
    'table',
    {},
    el('thead', {}, row((t.header as Token[] | undefined) ?? [], 'th')),
    el('tbody', {}, ...(t.rows ?? []).map((cells) => row(cells, 'td'))),
  );
  return el('div', { class: 'scroller', dir: 'auto', tabindex: 0, role: 'region', 'aria-label': 'Table' }, grid);
}

/** A block of code under a line with its language and a button that copies it. */
function codeBlock(code: string, info: string): Node {
  const language = info.trim().split(/\s/)[0]!.slice(0, 24);
  const body = el('code', {}, code);
  if (language) void colored(body, code, language);
  return el(
    'div',
    { class: 'code' },
    el(
      'div',
      { class: 'code-head' },
      el('span', {}, language || 'text'),
      copyButton(() => code, 'Copy code'),
    ),
    el('pre', { tabindex: 0, 'aria-label': `Code${language && `, ${language}`}` }, body),
  );
}

/** Colors code, as soon as the script for that is there. */
async function colored(body: HTMLElement, code: string, language: string): Promise<void> {
  try {
    const nodes = (await highlighting()).highlight(code, language);
    if (nodes) body.replaceChildren(...nodes);
  } catch {
    // it stays as it is: the script did not come
  }
}

function inlines(tokens: readonly Token[] | undefined, depth: number): Node[] {
  return (tokens ?? []).map((t) => inline(t, depth + 1));
}

/** A formula: its TeX, until the script that draws formulas is there. */
function formula(t: Token): Node {
  const display = t.display === true;
  const e = display
    ? el('div', { class: 'math display', tabindex: 0, role: 'group', 'aria-label': 'Formula' }, t.raw.trim())
    : el('span', { class: 'math' }, t.raw.trim());
  void typeset(e, t.text ?? '', display);
  return e;
}

async function typeset(e: HTMLElement, tex: string, display: boolean): Promise<void> {
  try {
    const drawn = (await formulas()).typeset(tex, display);
    if (drawn) e.replaceChildren(drawn);
  } catch {
    // it stays as it is: the script did not come
  }
}

function inline(t: Token, depth: number): Node {
  if (depth > deepest || left-- < 0) return document.createTextNode(t.raw);
  switch (t.type) {
    case 'strong':
    case 'em':
    case 'del':
      return el(t.type, {}, ...inlines(t.tokens, depth));
    case 'math':
      return formula(t);
    case 'codespan':
      return el('code', {}, t.text ?? '');
    case 'br':
      return el('br');
    case 'link':
      return link(t.href ?? '', inlines(t.tokens, depth), t.raw);
    case 'image':
      return link(t.href ?? '', [document.createTextNode(`Image: ${plain(t.text ?? '') || t.href}`)], t.raw);
    case 'escape':
      return document.createTextNode(t.text ?? '');
    case 'checkbox':
      return checkbox(t);
    case 'text':
      return t.tokens ? el('span', {}, ...inlines(t.tokens, depth)) : document.createTextNode(plain(t.text ?? t.raw));
    default:
      return document.createTextNode(t.raw);
  }
}

function link(href: string, content: Node[], raw: string): Node {
  const url = safeLink(plain(href));
  if (!url) return document.createTextNode(raw);
  return el('a', { href: url, target: '_blank', rel: 'noopener noreferrer nofollow', title: url }, ...content);
}
