/** One setting as a form field: what it is, means, defaults to and may be comes from the schema; what is typed goes into the text. */
import { useEffect, useId, useState } from 'preact/hooks';
import { Button } from '../ui/basics';
import { Words } from '../ui/words';
import { at } from './document';
import type { Path, Value } from './document';
import { removeAt, setAt } from './edits';
import { choicesOf, defaultOf, objection, schemaAt } from './schema';
import type { Schema } from './schema';
import { baseValues, change, nameOf, parsed, problems, schema, text } from './store';

interface FieldProps {
  path: Path;
  /** Where the value comes from when this is not set, such as `defaults`. */
  inherits?: Path;
  label?: string;
  /** Names to choose from, where the schema only says that it is a name. */
  names?: readonly string[];
  required?: boolean;
}

export function Setting({ path, inherits, label, names, required = false }: FieldProps) {
  const id = useId();
  const rules = schema.value && schemaAt(schema.value, path);
  const values = parsed.value.values ?? undefined;
  const value = at(values, path);
  const shown = inWords(value);
  const [typed, setTyped] = useState(shown);
  const [refused, setRefused] = useState(false);
  useEffect(() => {
    setTyped(shown);
    setRefused(false);
  }, [shown]);
  if (!rules) return null;
  const from = inherits && schema.value ? schemaAt(schema.value, inherits) : null;
  const inherited = inherits ? inWords(at(values, inherits)) || (from ? defaultOf(from) : '') : '';
  const otherwise = inherited || defaultOf(rules);
  const before = at(baseValues.value, path);
  const isChanged = inWords(before) !== shown;
  const told = problems.value.find((problem) => problem.path === nameOf(path));
  const wrong = typed !== shown && typed !== '' ? listObjection(rules, typed) : null;
  const commit = (next: string): void => {
    if (next === shown) return;
    const made =
      next === ''
        ? required
          ? null
          : removeAt(text.peek(), path)
        : listObjection(rules, next) === null
          ? setAt(text.peek(), path, valueOf(rules, next))
          : null;
    if (made === null) setRefused(next !== '' && listObjection(rules, next) === null);
    else change(made);
  };
  const choices = names?.map((name) => ({ value: name, description: '' })) ?? choicesOf(rules);
  const meaning = choices.find((choice) => choice.value === (shown || otherwise))?.description;
  const says = meaning && !told ? ` ${shown || otherwise}: ${meaning}` : '';
  const help = wrong
    ? `It must be ${wrong}.`
    : refused
      ? 'This change cannot be made by the form; make it in YAML.'
      : `${told ? `${told.message}${told.help ? `; ${told.help}` : ''}` : (rules.description ?? '')}${says}`;
  const describe = `${id}-help`;
  const shared = { id, 'aria-describedby': describe, 'aria-invalid': wrong !== null || told?.severity === 'error' };
  return (
    <div class={isChanged ? 'setting setting-changed' : 'setting'}>
      <label for={id}>{label ?? String(path.at(-1)).replaceAll('_', ' ')}</label>
      {choices.length > 0 ? (
        <select {...shared} value={shown} onChange={(event) => commit(event.currentTarget.value)}>
          {!required && <option value="">{otherwise ? `${otherwise} (default)` : 'not set'}</option>}
          {shown !== '' && !choices.some((choice) => choice.value === shown) && <option value={shown}>{shown}</option>}
          {choices.map((choice) => (
            <option key={choice.value} value={choice.value}>
              {choice.value}
            </option>
          ))}
        </select>
      ) : (
        <input
          {...shared}
          value={typed}
          placeholder={otherwise ? `${otherwise} (default)` : 'not set'}
          autocomplete="off"
          spellcheck={false}
          inputMode={rules.type === 'integer' ? 'numeric' : rules.type === 'number' ? 'decimal' : 'text'}
          onInput={(event) => setTyped(event.currentTarget.value)}
          onChange={(event) => commit(event.currentTarget.value.trim())}
        />
      )}
      {isChanged && (
        <Button small kind="ghost" onClick={() => commit(inWords(before))} aria-label={`Undo the change of ${nameOf(path)}`}>
          was {inWords(before) || 'not set'}, undo
        </Button>
      )}
      <p id={describe} class={wrong || told?.severity === 'error' || refused ? 'field-error' : 'field-help'}>
        <Words text={help} />
      </p>
    </div>
  );
}

/** A value as it stands in an input; lists of words are separated by commas. */
function inWords(value: Value | undefined): string {
  if (value === undefined || value === null) return '';
  return Array.isArray(value)
    ? value.map((item) => (typeof item === 'object' ? JSON.stringify(item) : String(item))).join(', ')
    : typeof value === 'object'
      ? JSON.stringify(value)
      : String(value);
}

function listObjection(rules: Schema, typed: string): string | null {
  if (rules.type !== 'array') return objection(rules, typed);
  const item = schema.peek() && rules.items?.$ref ? schema.peek()?.$defs?.[rules.items.$ref.replace('#/$defs/', '')] : rules.items;
  return (
    typed
      .split(',')
      .map((word) => (item ? objection(item, word.trim()) : null))
      .find((wrong) => wrong !== null) ?? null
  );
}

function valueOf(rules: Schema, typed: string): Value {
  if (rules.type === 'integer' || rules.type === 'number') return Number(typed);
  if (rules.type === 'boolean') return typed === 'true';
  return rules.type === 'array'
    ? typed
        .split(',')
        .map((word) => word.trim())
        .filter((word) => word !== '')
    : typed;
}
