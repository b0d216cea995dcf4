// Values out of files that others have written.

/** A text; '' stands for all else. */
export const string = (v: unknown) => (typeof v === 'string' ? v : '');

/** A number that is one. */
export const number = (v: unknown) => (typeof v === 'number' && Number.isFinite(v) ? v : undefined);
