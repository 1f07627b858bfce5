/**
 * Numbers, money, durations and times as text. Three significant digits, a narrow no-break space before units, and a dash for what is
 * not known. Times are the viewer's; `utc` is for the hover.
 */

export const NONE = '–';
const NARROW = '\u202f';

const known = (value: number | null | undefined): value is number => value !== null && value !== undefined && Number.isFinite(value);

/** `value` with three significant digits, without zeros that say nothing. */
function digits(value: number): string {
  const size = Math.abs(value);
  const decimals = size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return String(Number(value.toFixed(decimals)));
}

/** 1234 → `1.23 k`; below 1,000 as it is. */
export function count(value: number | null | undefined): string {
  if (!known(value)) return NONE;
  const size = Math.abs(value);
  if (size >= 999.5e9) return `${digits(value / 1e12)}${NARROW}T`;
  if (size >= 999.5e6) return `${digits(value / 1e9)}${NARROW}G`;
  if (size >= 999.5e3) return `${digits(value / 1e6)}${NARROW}M`;
  if (size >= 999.5) return `${digits(value / 1e3)}${NARROW}k`;
  return digits(value);
}

/** All digits, in groups of three. */
export function exact(value: number | null | undefined): string {
  if (!known(value)) return NONE;
  const [whole, rest] = String(Math.abs(Math.round(value * 1e6) / 1e6)).split('.');
  const grouped = (whole ?? '').replace(/\B(?=(\d{3})+$)/g, NARROW);
  return `${value < 0 ? '−' : ''}${grouped}${rest === undefined ? '' : `.${rest}`}`;
}

/** A rate in units a second. */
export const perSecond = (value: number | null | undefined): string => (known(value) ? `${count(value)}/s` : NONE);

/** A duration in the unit that suits it: µs, ms, s, min, h, d. */
export function duration(ms: number | null | undefined): string {
  if (!known(ms)) return NONE;
  const size = Math.abs(ms);
  if (size === 0) return `0${NARROW}ms`;
  if (size < 0.9995) return `${digits(Math.round(ms * 1000))}${NARROW}µs`;
  if (size < 999.5) return `${digits(ms)}${NARROW}ms`;
  if (size < 119_950) return `${digits(ms / 1000)}${NARROW}s`;
  if (size < 7_197_000) return `${digits(ms / 60_000)}${NARROW}min`;
  if (size < 172_740_000) return `${digits(ms / 3_600_000)}${NARROW}h`;
  return `${digits(ms / 86_400_000)}${NARROW}d`;
}

/** A share of one as per cent; small ones keep a digit more, since 0.04 % of errors is not none. */
export function percent(part: number | null | undefined): string {
  if (!known(part)) return NONE;
  const value = part * 100;
  const size = Math.abs(value);
  if (size > 0 && size < 0.01) return `${value < 0 ? '−' : ''}<${NARROW}0.01${NARROW}%`;
  return `${Number(value.toFixed(size >= 99.95 || size === 0 ? 0 : size >= 10 ? 1 : 2))}${NARROW}%`;
}

/** US dollars: cents from one dollar on, three digits below, so that a request's price is not `$0.00`. */
export function usd(value: number | null | undefined): string {
  if (!known(value)) return NONE;
  const size = Math.abs(value);
  const sign = value < 0 ? '−' : '';
  if (size >= 999_500) return `${sign}$${count(size)}`;
  if (size >= 1000) return `${sign}$${exact(Math.round(size))}`;
  if (size >= 1 || size === 0) return `${sign}$${size.toFixed(2)}`;
  if (size < 0.000_05) return `${sign}<${NARROW}$0.0001`;
  return `${sign}$${size.toFixed(size >= 0.0995 ? 2 : size >= 0.00995 ? 3 : 4)}`;
}

/** US dollars where there is little room: three digits, no cents from 100 on. */
export function usdShort(value: number | null | undefined): string {
  return known(value) && Math.abs(value) >= 99.995 ? `${value < 0 ? '−' : ''}$${count(Math.abs(value))}` : usd(value);
}

/** A change with its sign: `+12 %`. */
export function signed(part: number | null): string {
  if (!known(part)) return NONE;
  const rounded = Math.abs(part) >= 0.0995 ? Math.round(part * 100) : Number((part * 100).toFixed(1));
  if (rounded === 0) return `±0${NARROW}%`;
  if (Math.abs(rounded) >= 1000) return `${rounded > 0 ? '×' : '−×'}${count(part + 1)}`;
  return `${rounded > 0 ? '+' : '−'}${Math.abs(rounded)}${NARROW}%`;
}

/** Binary sizes. */
export function bytes(value: number | null | undefined): string {
  if (!known(value)) return NONE;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let size = value;
  let unit = 0;
  while (Math.abs(size) >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${digits(size)}${NARROW}${units[unit]}`;
}

const two = (value: number): string => String(value).padStart(2, '0');

/** `14:03`, in the viewer's zone. */
export function clock(ms: number): string {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** `14:03:09`, in the viewer's zone. */
export const clockSeconds = (ms: number): string => `${clock(ms)}:${two(new Date(ms).getSeconds())}`;

/** `2026-11-26`, in the viewer's zone. */
export function day(ms: number): string {
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** `2026-11-26 14:03:09`, in the viewer's zone. */
export const moment = (ms: number): string => `${day(ms)} ${clockSeconds(ms)}`;

/** The same in UTC, for the hover. */
export const utc = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;

/** How long something lasts in the unit that people would choose, whole: `less than 1 s`, `12 s`, `3 min`, `5 h`. `duration` is for what is measured. */
export function span(ms: number): string {
  if (ms < 1000) return `less than 1${NARROW}s`;
  if (ms < 90_000) return `${Math.round(ms / 1000)}${NARROW}s`;
  if (ms < 5_400_000) return `${Math.round(ms / 60_000)}${NARROW}min`;
  if (ms < 129_600_000) return `${Math.round(ms / 3_600_000)}${NARROW}h`;
  return `${Math.round(ms / 86_400_000)}${NARROW}d`;
}

/** How long ago, or in how long: `3 min ago`, `in 2 d`. */
export function ago(ms: number, now_ms: number): string {
  const past = now_ms - ms;
  if (Math.abs(past) < 1500) return 'now';
  return past > 0 ? `${span(past)} ago` : `in ${span(-past)}`;
}

/** `1 request`, `2 requests`. */
export const plural = (value: number, one: string, many = `${one}s`): string => `${count(value)} ${value === 1 ? one : many}`;
