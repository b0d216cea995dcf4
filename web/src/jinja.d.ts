/** The part of @huggingface/jinja that dist/jinja.js contains. */
export class Template {
  constructor(template: string);
  render(values: Record<string, unknown>): string;
}

export class Environment {
  set(name: string, value: unknown): unknown;
}

export class Interpreter {
  evaluate(node: unknown, environment: Environment): unknown;
  evaluateBlock(nodes: unknown[], environment: Environment): unknown;
}
