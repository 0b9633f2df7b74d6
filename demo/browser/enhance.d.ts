/** What is wrong, in a sentence with the remedy. */
export class EnhanceError extends Error {}

export type Look = "natural" | "paper";
export type Backend = "auto" | "webgpu" | "webgl" | "javascript";
export type Picture =
  | ImageBitmap
  | VideoFrame
  | HTMLVideoElement
  | HTMLCanvasElement
  | OffscreenCanvas;

export interface Settings {
  /** "natural" (default): black point, exposure, even edges; "paper": the method alone. */
  look?: Look;
  /** 0 changes nothing, 1 (default) is what is found for the picture; up to 4. */
  strength?: number;
  /** How often the curve is applied, 8 by default; more lifts the shadows. */
  iterations?: number;
}

export interface Options extends Settings {
  /** What computes the pixels; "auto" (default) takes the first that the browser offers. */
  backend?: Backend;
  /** The picture is gray and is to stay so in the paper's look too. */
  gray?: boolean;
}

export const DEFAULTS: Required<Settings>;

/** Brighten one picture; calls are answered one after another. */
export function enhance(image: Picture, options?: Options): Promise<ImageBitmap>;

/** A small map: values [channels, height, width]. */
export interface Plane {
  values: Float32Array;
  width: number;
  height: number;
}

/** What was found for a picture; black in [0, 1] a channel. */
export interface Measured {
  black: Float32Array;
  exposure: number;
  factor: Plane;
}

/** Keeps a picture, so that a changed setting does not run the network again. */
export class Enhancer {
  static create(options?: {
    backend?: Backend;
    /** Called when the graphics card is taken away: create another one. */
    onLost?: () => void;
    /** Called with the share of the runtime that has arrived. */
    report?: (share: number) => void;
  }): Promise<Enhancer>;
  open(
    image: Picture,
    options?: { width?: number; height?: number; gray?: boolean },
  ): Promise<void>;
  draw(settings?: Settings): Promise<Measured>;
  measure(look?: Look): Promise<Measured>;
  bitmap(): Promise<ImageBitmap>;
  toBlob(type?: string, quality?: number): Promise<Blob | null>;
  dispose(): void;
  readonly canvas: HTMLCanvasElement;
  readonly width: number;
  readonly height: number;
}
