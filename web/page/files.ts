// Conversations as files, and back: a script of its own, which is loaded when something is exported or imported.
export { fileName, toJSON, toMarkdown } from './chat/export.js';
export { read } from './chat/import.js';
