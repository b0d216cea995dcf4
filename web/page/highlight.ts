// Colors for blocks of code: highlight.js finds the parts, and this makes elements of them. No string becomes HTML. It is a script of
// its own, with its style in it, which the page loads with the first block of code in a language that is known.
import { hljs, languages } from './lib/hljs.js';

/** Longer code stays as it is: it is looked at anew with each line that a model adds. */
const longest = 40_000;

/** Takes what highlight.js finds, as the interface of its emitters has it. */
class Nodes {
  readonly root = document.createDocumentFragment();
  private readonly open: ParentNode[] = [this.root];

  addText(text: string): void {
    this.open.at(-1)!.append(text);
  }

  startScope(scope: string): void {
    const e = document.createElement('span');
    e.className = scope.split('.')[0]!;
    this.open.at(-1)!.append(e);
    this.open.push(e);
  }

  endScope(): void {
    if (this.open.length > 1) this.open.pop();
  }

  /** Code of another language in this one, such as a script in HTML. */
  __addSublanguage(other: Nodes): void {
    this.open.at(-1)!.append(other.root);
  }

  finalize(): void {}

  toHTML(): string {
    return ''; // nobody wants it
  }
}

for (const [name, language] of Object.entries(languages)) hljs.registerLanguage(name, language);
hljs.configure({ __emitter: Nodes });

const sheet = new CSSStyleSheet();
const colors: [scopes: string, light: string, dark: string][] = [
  ['keyword literal type selector-tag doctag', '#8a2a9b', '#dd9be8'],
  ['string regexp addition', '#1c6b34', '#8fd6a0'],
  ['number symbol bullet variable template-variable', '#9a4a00', '#f0b27a'],
  ['title name built_in section', '#1f54b5', '#8fb8ff'],
  ['attr attribute property params meta', '#0f6674', '#7fd3df'],
  ['comment quote', '#63636f', '#9a9aac'],
  ['deletion', '#a3180f', '#ff9a8f'],
];
const rules = colors.map(([scopes, light, dark]) => {
  const names = scopes.split(' ').map((s) => `.code code .${s}`);
  return `${names.join()} { color: light-dark(${light}, ${dark}) }`;
});
sheet.replaceSync([...rules, '.code code .comment { font-style: italic }'].join('\n'));
document.adoptedStyleSheets.push(sheet);

/** Code as elements; undefined: the language is not known, or the code is too long. */
export function highlight(code: string, language: string): DocumentFragment | undefined {
  if (code.length > longest || !hljs.getLanguage(language)) return undefined;
  return hljs.highlight(code, { language, ignoreIllegals: true })._emitter.root;
}
