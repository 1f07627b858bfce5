/** What may be written at a place of the configuration, and what stands there means: for the editor's completion and hover. */
import { at, items, word } from './document';
import type { Path, Value } from './document';
import type { Place } from './place';
import { choicesOf, defaultOf, kindOf, membersOf, plain, resolved, schemaAt } from './schema';
import type { Schema } from './schema';

export interface Suggestion {
  label: string;
  /** What is written; for a key with its colon. */
  apply: string;
  kind: 'property' | 'value' | 'name';
  /** A few words behind the label. */
  detail: string;
  /** What it means. */
  info: string;
}

/** Suggestions for the place. Names of pools, deployments, routes and regions are those of the document, where it can be read. */
export function suggestions(root: Schema, place: Place, values: Value | undefined): Suggestion[] {
  const schema = schemaAt(root, place.path);
  if (!schema) return [];
  const names = place.kind === 'value' ? namesAt(place.path, values) : [];
  const named = names.map((label): Suggestion => ({
    label,
    apply: label,
    kind: 'name',
    detail: schema.title ?? '',
    info: schema.description ?? '',
  }));
  const words = place.kind === 'value' && names.length === 0 ? wordsOf(schema) : [];
  return [...named, ...words, ...keysOf(root, schema, at(values, place.path))];
}

/** What the place's key or value means; `null` where nothing is known. */
export function meaning(root: Schema, path: Path): { title: string; text: string } | null {
  const schema = schemaAt(root, path);
  if (!schema?.description) return null;
  const from = defaultOf(schema);
  const lines = [
    schema.description,
    ...choicesOf(schema)
      .filter(({ description }) => description)
      .map(({ value, description }) => `${value}: ${description}`),
  ];
  return { title: `${path.join('.')}: ${kindOf(schema)}${from ? `, ${from} by default` : ''}`, text: lines.join('\n') };
}

/** The members that a map may have and has not yet. In a list what stands is not known by name, so all are offered. */
function keysOf(root: Schema, schema: Schema, there: Value | undefined): Suggestion[] {
  const has = typeof there === 'object' && there !== null && !Array.isArray(there) ? there : {};
  const required = new Set((schema.anyOf ?? [schema]).flatMap((form) => resolved(root, form).required ?? []));
  return membersOf(root, schema)
    .filter(([name]) => !(name in has) || has[name] === null)
    .map(([name, member]) => {
      const from = defaultOf(member);
      const detail = required.has(name) ? 'required' : from ? `${kindOf(member)}, ${from} by default` : kindOf(member);
      return { label: name, apply: `${name}: `, kind: 'property', detail, info: member.description ?? '' };
    });
}

function wordsOf(schema: Schema): Suggestion[] {
  const choices = choicesOf(schema);
  if (choices.length > 0) {
    const from = defaultOf(schema);
    return choices.map(({ value, description }) => ({
      label: value,
      apply: value,
      kind: 'value',
      detail: value === from ? 'default' : '',
      info: description,
    }));
  }
  if (schema.type === 'object' || schema.type === 'array') return [];
  const seen = new Set<string>();
  return [schema.default, ...(schema.examples ?? [])].flatMap((value, n): Suggestion[] => {
    if (value === undefined || typeof value === 'object') return [];
    const label = plain(value);
    if (seen.has(label)) return [];
    seen.add(label);
    const apply = /[${]/.test(label) ? JSON.stringify(label) : label;
    return [{ label, apply, kind: 'value', detail: n === 0 ? 'default' : 'such as', info: schema.description ?? '' }];
  });
}

/** `resource/deployment` of all resources. */
export function deploymentNames(values: Value | undefined): string[] {
  return items(values, ['resources']).flatMap((resource) =>
    items(resource, ['deployments']).map((deployment) => `${word(resource, ['name'])}/${word(deployment, ['name'])}`),
  );
}

/** The names that a place refers to. */
function namesAt(path: Path, values: Value | undefined): string[] {
  const shape = path.map((step) => (typeof step === 'number' ? '#' : step)).join('.');
  const named = (list: string): string[] =>
    items(values, [list])
      .map((item) => word(item, ['name']))
      .filter((name) => name !== '');
  if (shape === 'routes.#.pool') return named('pools');
  if (shape === 'clients.#.routes.#') return named('routes');
  if (/^pools\.#\.tiers\.#\.#(\.deployment)?$/.test(shape)) return deploymentNames(values);
  if (shape === 'routes.#.residency.regions.#') return [...new Set(items(values, ['resources']).map((item) => word(item, ['region'])))];
  return [];
}
