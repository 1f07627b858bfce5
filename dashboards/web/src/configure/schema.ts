/** Reads the configuration's JSON schema: what may stand at a path, with description, default, bounds and choices. */
import type { Path } from './document';

/** The part of JSON schema that the configuration's schema uses. */
export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  type?: string;
  title?: string;
  description?: string;
  default?: unknown;
  examples?: unknown[];
  const?: unknown;
  pattern?: string;
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  oneOf?: Schema[];
  anyOf?: Schema[];
}

export interface Choice {
  value: string;
  description: string;
}

/** A schema without its reference: what stands beside the reference goes first. */
export function resolved(root: Schema, schema: Schema | undefined): Schema {
  if (!schema?.$ref) return schema ?? {};
  const { $ref, ...own } = schema;
  const target = root.$defs?.[$ref.replace('#/$defs/', '')];
  return { ...resolved(root, target), ...own };
}

/** What may stand at the path. Where a place takes several forms, that with the path's next member is meant. */
export function schemaAt(root: Schema, path: Path): Schema | null {
  let schema = resolved(root, root);
  for (const step of path) {
    const forms = (schema.anyOf ?? [schema]).map((form) => resolved(root, form));
    const next = forms.map((form) => (typeof step === 'number' ? form.items : form.properties?.[step])).find((form) => form !== undefined);
    if (!next) return null;
    schema = resolved(root, next);
  }
  return schema;
}

/** The members that a map at the path may have, in the schema's order. */
export function membersOf(root: Schema, schema: Schema): [string, Schema][] {
  const forms = (schema.anyOf ?? [schema]).map((form) => resolved(root, form));
  return forms.flatMap((form) => Object.entries(form.properties ?? {})).map(([name, member]) => [name, resolved(root, member)]);
}

/** The words that may stand there, with what each means; none where anything may. */
export function choicesOf(schema: Schema): Choice[] {
  if (schema.type === 'boolean') return ['true', 'false'].map((value) => ({ value, description: '' }));
  return (schema.oneOf ?? []).flatMap((form) =>
    typeof form.const === 'string' ? [{ value: form.const, description: form.description ?? '' }] : [],
  );
}

/** The default as it is written, or `''`. */
export const defaultOf = (schema: Schema): string => (schema.default === undefined ? '' : plain(schema.default));

/** What kind of value it is, in a few words: `duration`, `whole number from 1 to 16`. */
export function kindOf(schema: Schema): string {
  const choices = choicesOf(schema);
  if (choices.length > 0) return choices.map(({ value }) => value).join(' | ');
  if (schema.title) return schema.title;
  const noun =
    { integer: 'whole number', number: 'number', string: 'text', array: 'list', object: 'section' }[schema.type ?? ''] ?? 'value';
  const least = schema.minimum ?? schema.exclusiveMinimum;
  if (schema.type !== 'integer' && schema.type !== 'number') return noun;
  if (least === undefined) return noun;
  const from = schema.minimum === undefined ? `more than ${least}` : `from ${least}`;
  return schema.maximum === undefined ? `${noun} ${from}` : `${noun} ${from} to ${schema.maximum}`;
}

/** Why a value that somebody typed cannot stand there; `null` where it can. The gateway's own check has the last word. */
export function objection(schema: Schema, typed: string): string | null {
  const choices = choicesOf(schema);
  if (choices.length > 0) return choices.some(({ value }) => value === typed) ? null : `one of ${kindOf(schema)}`;
  if (schema.type === 'integer' || schema.type === 'number') {
    const value = Number(typed);
    const isWrong =
      typed.trim() === '' ||
      !Number.isFinite(value) ||
      (schema.type === 'integer' && !Number.isInteger(value)) ||
      (schema.minimum !== undefined && value < schema.minimum) ||
      (schema.exclusiveMinimum !== undefined && value <= schema.exclusiveMinimum) ||
      (schema.maximum !== undefined && value > schema.maximum);
    return isWrong ? `a ${kindOf(schema)}` : null;
  }
  if (schema.pattern && !new RegExp(schema.pattern, 'u').test(typed)) {
    const examples = (schema.examples ?? []).map(plain).join(', ');
    return `${schema.title ? `a ${schema.title}` : 'another form'}${examples ? `, such as ${examples}` : ''}`;
  }
  return null;
}

/** A value of JSON as YAML would have it on one line. */
export function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
