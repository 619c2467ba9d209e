/** What the host tells over its API (docs/control.md), and what the parts of the page share. */
import type {
  ControlEvent,
  ControlFigures,
  ControlHost,
  ControlLine,
  ControlTenant,
  ControlTenantDetail,
} from '../../../control.js';

export type Host = ControlHost;
export type Tenant = ControlTenant;
export type WholeTenant = ControlTenantDetail;
export type HostEvent = ControlEvent;
export type Line = ControlLine;
export type Figures = ControlFigures;
export type FigureName = Exclude<keyof ControlFigures, 'everyMs' | 'at'>;
export type FigureColumn = { at: number } & Record<FigureName, number | null>;

/** What every view gets. */
export type Context = {
  link: import('./link.js').Link;
  /** Says something once, where screen readers hear it, too. */
  say: (text: string) => void;
  /** Whether this page may act; not known at once. */
  mayAct: () => boolean | undefined;
  /** The last that the host told of itself. */
  host: () => Host | undefined;
  setHost: (host: Host) => void;
};

/** One of the page's views, as long as it is shown. */
export type View = {
  title: string;
  element: HTMLElement;
  /** Where focus goes when it is opened. */
  focus: () => void;
  /** Once a second, and when the link is lost or found. */
  tick: () => void;
  /** A key that nothing else has taken. Returns whether it was one of the view's. */
  key: (event: KeyboardEvent) => boolean;
  close: () => void;
};
