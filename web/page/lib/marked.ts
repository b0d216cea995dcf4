// The part of marked that the page uses, with the types of what it uses.
import { Lexer as MarkedLexer } from 'marked';

/** A piece of Markdown. Which of the fields are there depends on the type. */
export interface Token {
  type: string;
  raw: string;
  text?: string;
  tokens?: Token[];
  depth?: number;
  lang?: string;
  href?: string;
  ordered?: boolean;
  start?: number | string;
  items?: Token[];
  checked?: boolean;
  display?: boolean; // of a formula
  align?: 'left' | 'center' | 'right' | null;
  header?: Token[] | boolean;
  rows?: Token[][];
}

export const Lexer = MarkedLexer as unknown as new (o: {
  gfm: boolean;
  breaks: boolean;
  extensions?: object;
}) => { lex(text: string): Token[] };
