import type { CacheReport } from './cache.js';
import { LlamaError } from './errors.js';
import type { GoModel, KernelTrial, Runtime } from './runtime.js';

/** The part of a manifest that this package reads; docs/format.md describes all of it. */
export interface Manifest {
  id: string;
  generator: string;
  spec: { vocab: number; hidden: number; max_positions?: number; layers: number[] };
  quantization: { format: string; block?: number };
  files: { name: string; size: number }[];
  tensors: { name: string; type: string; length: number }[];
  tokenizer: {
    size?: number;
    sha256?: string;
    bos?: number;
    eos: number[] | null;
    chat_template?: string;
    special_tokens?: Record<string, string>;
  };
}

/** Turns text into token ids and back. */
export class Tokenizer {
  constructor(private readonly go: GoModel) {}

  /** The ids of a text, with the token that begins a text in front if the model expects one. */
  encode(text: string, options: { special?: boolean } = {}): Int32Array {
    return this.go.encode(text, options.special ?? true);
  }

  /** The text of ids, without special tokens unless `special` is set. */
  decode(ids: Iterable<number>, options: { special?: boolean } = {}): string {
    return this.go.decode(Int32Array.from(ids), !options.special);
  }

  /** A token as spelled in the vocabulary. */
  token(id: number): string | undefined {
    return this.go.token(id) ?? undefined;
  }
}

/** A model whose weights are on a GPU. Transformers run it. */
export class Model {
  private disposed = false;

  /** @internal */
  constructor(
    readonly device: GPUDevice,
    readonly manifest: Manifest,
    /** Whether and where the model is cached for the next visit. */
    readonly cache: CacheReport,
    /** Whether it was read from the cache. */
    readonly fromCache: boolean,
    /** @internal */
    readonly runtime: Runtime,
    private readonly goModel: GoModel,
  ) {}

  /** @internal */
  get go(): GoModel {
    if (this.disposed) throw new LlamaError('disposed', 'The model has been disposed of.');
    return this.goModel;
  }

  /** @internal */
  get isDisposed(): boolean {
    return this.disposed;
  }

  get tokenizer(): Tokenizer {
    if (!this.go.hasTokenizer) throw new LlamaError('invalid-argument', 'The bundle has no tokenizer.');
    return new Tokenizer(this.go);
  }

  /** The format of most of its matrices: int8, int4, int2 or f16. */
  get format(): string {
    return this.manifest.quantization.format;
  }

  /** Bytes on the GPU by purpose, of everything on this device. */
  memory(): Record<string, number> {
    return this.runtime.api.memory().memory;
  }

  /** The results of the kernel trials on this device. */
  kernels(): KernelTrial[] {
    return this.go.kernels();
  }

  /** Releases its GPU memory, and that of its Transformers. */
  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    await this.goModel.close();
  }
}
