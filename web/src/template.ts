// Renders chat templates. A template comes with a bundle, which may be a stranger's, so the work that it can cause is
// bounded, as in the command.
import { Environment, Interpreter, Template } from './jinja.js';

/** The most characters of a template. */
const longest = 256 << 10;

/** The most numbers that range() may return. */
const longestRange = 100_000;

/**
 * How much work a rendering may cause: an evaluated expression costs `perStep`, a block such as a loop's body `perBlock`,
 * and a character or an element of the value one more.
 */
const base = 64 << 20;
const perCharacter = 64; // of the variables
const perStep = 16;
const perBlock = 128;

let left = 0; // of the rendering that is under way: one at a time

function spend(work: number): void {
  left -= work;
  if (left < 0) throw new Error('it takes too many steps');
}

/** How many characters or elements a value of the interpreter has. */
function size(value: unknown): number {
  const held = (value as { value?: unknown } | undefined)?.value;
  if (typeof held === 'string' || Array.isArray(held)) return held.length;
  return held instanceof Map ? held.size : 0;
}

// The library makes its interpreters itself, so it is their prototype that is bounded. This module's copy of the library
// is used by nothing else.
const { evaluate, evaluateBlock } = Interpreter.prototype;
const { set } = Environment.prototype;

Interpreter.prototype.evaluate = function (node, environment) {
  spend(perStep);
  const value = evaluate.call(this, node, environment);
  spend(size(value));
  return value;
};

Interpreter.prototype.evaluateBlock = function (nodes, environment) {
  spend(perBlock);
  const text = evaluateBlock.call(this, nodes, environment);
  spend(size(text));
  return text;
};

Environment.prototype.set = function (name, value) {
  return set.call(this, name, name === 'range' && typeof value === 'function' ? bounded(value as Range) : value);
};

type Range = (start: number, stop?: number, step?: number) => number[];

/** range(), which refuses to return more numbers than `longestRange`. */
function bounded(range: Range): Range {
  return (start, stop, step = 1) => {
    const [from, to] = stop === undefined ? [0, start] : [start, stop];
    if (!((to - from) / step <= longestRange)) throw new Error(`range(): at most ${longestRange} numbers`);
    return range(from, to, step);
  };
}

/** Renders a template. The error says what is wrong with it. */
export function render(template: string, values: Record<string, unknown>): string {
  if (template.length > longest) throw new Error(`it has ${template.length} characters, the limit is ${longest}`);
  left = base + perCharacter * JSON.stringify(values).length;
  return new Template(template).render(values);
}
