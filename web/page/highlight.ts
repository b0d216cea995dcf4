// Colors for blocks of code: highlight.js finds the parts, and this makes elements of them. No string becomes HTML. It is a script of
// its own, with its style in it, which the page loads with the first block of code in a language that is known.
import { el } from './lib/dom.js';
import { hljs, languages, type Part } from './lib/hljs.js';

/** Longer code stays as it is: it is looked at anew with each line that a model adds. */
const longest = 40_000;

function elements(parts: readonly (Part | string)[]): (Node | string)[] {
  return parts.map((p) => {
    if (typeof p === 'string') return p;
    const e = el('span', { class: p.scope?.split('.')[0] });
    e.append(...elements(p.children));
    return e;
  });
}

for (const [name, language] of Object.entries(languages)) hljs.registerLanguage(name, language);

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
export function highlight(code: string, language: string): (Node | string)[] | undefined {
  if (code.length > longest || !hljs.getLanguage(language)) return undefined;
  const found = hljs.highlight(code, { language, ignoreIllegals: true });
  return found.errorRaised ? undefined : elements(found._emitter.root.children);
}
