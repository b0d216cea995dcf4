// The part of Temml that the page uses, with the types of what it uses.
import library from 'temml';

interface Options {
  displayMode: boolean;
  throwOnError: boolean;
  maxExpand: number;
  maxSize: [number, number];
  trust: boolean;
}

export const temml = library as unknown as { render(tex: string, into: HTMLElement, o: Options): void };
