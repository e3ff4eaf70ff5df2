// Kubernetes quantities, such as 10Gi or 1500M: parsed exactly, without floating point, and written in Kubernetes' canonical form.
// Rules: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/

type Family = 'binary' | 'decimal' | 'exponent';

/** A quantity as an exact number of billionths, and the family of suffixes that it was written with. */
export interface Quantity {
  readonly nano: bigint;
  readonly family: Family;
}

const shape = /^([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:([KMGTPE])i|([numkMGTPE])|[eE]([+-]?\d+))?$/;

/** What the API server says about a text that is no quantity. */
export const quantityProblem =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

const nanoPerUnit = 1_000_000_000n;
const longestText = 128;
const largestExponent = 40;
const binarySuffixes = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const decimalSuffixes = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'];
const decimalZero = decimalSuffixes.indexOf('');

function binaryFactor(letter: string): bigint {
  return 1024n ** BigInt(binarySuffixes.indexOf(`${letter}i`));
}

function decimalExponent(suffix: string | undefined, exponent: string | undefined): number {
  if (suffix !== undefined) return 3 * (decimalSuffixes.indexOf(suffix) - decimalZero);
  return Math.max(-largestExponent, Math.min(largestExponent, Number(exponent ?? '0')));
}

/** Division that rounds away from zero, as Kubernetes does with what it cannot hold. */
function divideUp(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor;
  if (value % divisor === 0n) return quotient;
  return value < 0n ? quotient - 1n : quotient + 1n;
}

/** @returns undefined where the text is no quantity. Numbers are read as they are written in JSON. */
export function parseQuantity(value: string | number): Quantity | undefined {
  const text = String(value);
  const match = text.length > longestText ? null : shape.exec(text);
  if (match === null) return undefined;
  const [, sign, whole = '', fraction = '', bareFraction = '', binary, decimal, exponent] = match;
  const places = fraction + bareFraction;
  const digits = BigInt(whole + places) * (sign === '-' ? -1n : 1n) * nanoPerUnit;
  const scale = 10n ** BigInt(places.length);
  if (binary !== undefined) return { nano: divideUp(digits * binaryFactor(binary), scale), family: 'binary' };
  const power = decimalExponent(decimal, exponent);
  const shifted = power >= 0 ? digits * 10n ** BigInt(power) : digits;
  const nano = divideUp(shifted, power >= 0 ? scale : scale * 10n ** BigInt(-power));
  return { nano, family: exponent === undefined ? 'decimal' : 'exponent' };
}

/** The quantity as whole bytes, rounded up; one beyond the safe integers (8 PiB) counts as the largest safe integer. */
function wholeBytes(quantity: Quantity): number {
  const units = divideUp(quantity.nano, nanoPerUnit);
  const most = BigInt(Number.MAX_SAFE_INTEGER);
  if (units > most) return Number.MAX_SAFE_INTEGER;
  return units < -most ? -Number.MAX_SAFE_INTEGER : Number(units);
}

/** Whole bytes of a quantity as it stands in a manifest. @returns undefined where it is no quantity */
export function quantityBytes(value: string | number): number | undefined {
  const quantity = parseQuantity(value);
  return quantity === undefined ? undefined : wholeBytes(quantity);
}

function formatBinary(units: bigint): string {
  let left = units;
  let power = 0;
  while (left !== 0n && left % 1024n === 0n && power < binarySuffixes.length - 1) {
    left /= 1024n;
    power += 1;
  }
  return `${left}${binarySuffixes[power] ?? ''}`;
}

function formatDecimal(nano: bigint, exponentForm: boolean): string {
  if (nano === 0n) return '0';
  let left = nano;
  let power = 0;
  while (left % 1000n === 0n && power < decimalSuffixes.length - 1) {
    left /= 1000n;
    power += 1;
  }
  const exponent = 3 * (power - decimalZero);
  if (exponentForm) return exponent === 0 ? `${left}` : `${left}e${exponent}`;
  return `${left}${decimalSuffixes[power] ?? ''}`;
}

/** Kubernetes' canonical form: no fraction, the largest suffix of its family that keeps it exact. */
export function formatQuantity(quantity: Quantity): string {
  const { nano, family } = quantity;
  const small = nano > -1024n * nanoPerUnit && nano < 1024n * nanoPerUnit;
  if (family === 'binary' && !small && nano % nanoPerUnit === 0n) return formatBinary(nano / nanoPerUnit);
  return formatDecimal(nano, family === 'exponent');
}

/** Bytes as a quantity, such as 10Gi or 1000001. */
export function formatBytes(bytes: number): string {
  return formatQuantity({ nano: BigInt(bytes) * nanoPerUnit, family: 'binary' });
}

/** Bytes for people: three significant digits and a unit, such as 1.50 GiB. For logs, tables and sentences only. */
export function describeBytes(bytes: number): string {
  if (Math.abs(bytes) < 1024) return `${bytes} B`;
  let value = bytes;
  let power = 0;
  // 1023.5 would be printed as 1024
  while (Math.abs(value) >= 1023.5 && power < binarySuffixes.length - 1) {
    value /= 1024;
    power += 1;
  }
  const magnitude = Math.abs(value);
  const places = magnitude >= 99.95 ? 0 : magnitude >= 9.995 ? 1 : 2;
  return `${value.toFixed(places)} ${binarySuffixes[power] ?? ''}B`;
}
