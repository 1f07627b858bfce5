/**
 * The YAML editor: CodeMirror with completion and hover from the configuration's schema, and the gateway's problems in place. A chunk of
 * its own, read when the editor is opened.
 *
 * It lives in a shadow root: there CodeMirror puts its styles into `adoptedStyleSheets`, which a strict content policy allows; in the
 * document it would add a style element, which the policy forbids. The page's colours come in as custom properties.
 */
import { autocompletion, closeCompletion, completionKeymap } from '@codemirror/autocomplete';
import type { Completion, CompletionContext, CompletionResult } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentLess, indentMore } from '@codemirror/commands';
import { yaml } from '@codemirror/lang-yaml';
import {
  HighlightStyle,
  bracketMatching,
  foldGutter,
  foldKeymap,
  indentOnInput,
  indentUnit,
  syntaxHighlighting,
} from '@codemirror/language';
import { lintGutter, lintKeymap, setDiagnostics } from '@codemirror/lint';
import type { Diagnostic } from '@codemirror/lint';
import { search, searchKeymap } from '@codemirror/search';
import { EditorState } from '@codemirror/state';
import { EditorView, drawSelection, highlightActiveLine, hoverTooltip, keymap, lineNumbers } from '@codemirror/view';
import type { Tooltip } from '@codemirror/view';
import { tags } from '@lezer/highlight';

import type { Problem } from '../types/config';
import { meaning, suggestions } from './completion';
import { parse } from './document';
import type { Value } from './document';
import { placeAt } from './place';
import type { Schema } from './schema';

export interface Editor {
  setText: (text: string) => void;
  setProblems: (problems: readonly Problem[]) => void;
  /** Puts the cursor on a line, from 1, and shows it. */
  goTo: (line: number, column?: number) => void;
  destroy: () => void;
}

interface Options {
  host: HTMLElement;
  text: string;
  schema: Schema;
  readOnly: boolean;
  onChange: (text: string) => void;
}

const theme = EditorView.theme({
  '&': { height: '100%', color: 'var(--text)', backgroundColor: 'var(--bg)', fontSize: '13px' },
  // The frame around it shows the focus.
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.55' },
  '.cm-content': { caretColor: 'var(--text)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-gutters': { color: 'var(--muted)', backgroundColor: 'var(--bg)', border: '0' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'color-mix(in srgb, var(--hover) 55%, transparent)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'color-mix(in srgb, var(--info) 30%, transparent)',
  },
  '.cm-tooltip': {
    color: 'var(--text)',
    backgroundColor: 'var(--raised)',
    border: '1px solid var(--line-strong)',
    borderRadius: '6px',
    boxShadow: 'var(--shadow)',
  },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { color: 'var(--text)', backgroundColor: 'var(--hover)' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mono)', maxHeight: '16em' },
  '.cm-tooltip.cm-completionInfo': { padding: '8px 12px', maxWidth: '360px', fontFamily: 'var(--font)', lineHeight: '1.5' },
  '.cm-completionDetail': {
    display: 'inline-block',
    maxWidth: '32ch',
    overflow: 'hidden',
    color: 'var(--muted)',
    fontFamily: 'var(--font)',
    fontStyle: 'normal',
    textOverflow: 'ellipsis',
    verticalAlign: 'bottom',
  },
  '.cm-completionMatchedText': { color: 'var(--accent)', textDecoration: 'none' },
  '.meaning': { maxWidth: '480px', padding: '8px 12px', fontFamily: 'var(--font)', lineHeight: '1.5', whiteSpace: 'pre-line' },
  '.meaning > b': { display: 'block', fontWeight: '600' },
  '.cm-diagnostic': { padding: '4px 10px', fontFamily: 'var(--font)', whiteSpace: 'pre-line' },
  '.cm-diagnostic-error': { borderLeftColor: 'var(--error)' },
  '.cm-diagnostic-warning': { borderLeftColor: 'var(--warn)' },
  '.cm-diagnostic-info': { borderLeftColor: 'var(--info)' },
  '.cm-lintRange-error': { backgroundImage: 'none', borderBottom: '2px solid var(--error)' },
  '.cm-lintRange-warning': { backgroundImage: 'none', borderBottom: '2px dotted var(--warn)' },
  '.cm-lintRange-info': { backgroundImage: 'none', borderBottom: '2px dotted var(--info)' },
  '.cm-lint-marker': { width: '0.8em', height: '0.8em', fontSize: '10px', content: 'none' },
  '.cm-lint-marker-error': { backgroundColor: 'var(--error)' },
  '.cm-lint-marker-warning': { backgroundColor: 'var(--warn)', clipPath: 'polygon(50% 0, 100% 100%, 0 100%)' },
  '.cm-lint-marker-info': { backgroundColor: 'var(--info)', borderRadius: '50%' },
  '.cm-panels': { color: 'var(--text)', backgroundColor: 'var(--surface)', borderColor: 'var(--line)' },
  '.cm-textfield': { color: 'var(--text)', backgroundColor: 'var(--bg)', border: '1px solid var(--line-strong)', borderRadius: '4px' },
  '.cm-button': {
    color: 'var(--text)',
    backgroundColor: 'var(--raised)',
    backgroundImage: 'none',
    border: '1px solid var(--line-strong)',
    borderRadius: '4px',
  },
  '.cm-foldPlaceholder': { color: 'var(--muted)', backgroundColor: 'var(--hover)', border: '0' },
  '.cm-matchingBracket': { backgroundColor: 'var(--hover)', outline: '1px solid var(--line-strong)' },
});

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: 'var(--info)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--ok)' },
  { tag: [tags.comment, tags.lineComment], color: 'var(--muted)' },
  { tag: [tags.separator, tags.punctuation, tags.squareBracket, tags.brace], color: 'var(--muted)' },
  { tag: [tags.labelName, tags.typeName, tags.meta], color: 'var(--accent)' },
]);

export function openEditor({ host, text, schema, readOnly, onChange }: Options): Editor {
  const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' });
  let settling = false;
  // Names are offered from the last text that could be read: what is being typed mostly cannot.
  let values: Value | undefined = parse(text).values ?? undefined;
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        foldGutter(),
        lintGutter(),
        history(),
        drawSelection(),
        indentOnInput(),
        bracketMatching(),
        highlightActiveLine(),
        indentUnit.of('  '),
        EditorState.tabSize.of(2),
        yaml(),
        syntaxHighlighting(colours),
        theme,
        search({ top: true }),
        EditorState.readOnly.of(readOnly),
        EditorView.contentAttributes.of({ tabindex: '0', 'aria-label': 'Configuration as YAML. Escape, then Tab leaves the editor.' }),
        autocompletion({ override: [(context) => complete(schema, values, context)], icons: false }),
        hoverTooltip((shown, at) => hover(schema, shown, at)),
        keymap.of([...completionKeymap, ...lintKeymap, ...searchKeymap, ...historyKeymap, ...foldKeymap, ...defaultKeymap]),
        leaving(),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged || settling) return;
          const now = update.state.doc.toString();
          values = parse(now).values ?? values;
          onChange(now);
        }),
      ],
    }),
  });
  return {
    setText: (next) => {
      const now = view.state.doc.toString();
      if (now === next) return;
      settling = true;
      view.dispatch({ changes: replacing(now, next) });
      settling = false;
      values = parse(next).values ?? values;
    },
    setProblems: (problems) =>
      view.dispatch(
        setDiagnostics(
          view.state,
          problems.flatMap((problem) => diagnostic(view.state, problem)),
        ),
      ),
    goTo: (line, column = 1) => {
      const at = view.state.doc.line(Math.min(Math.max(line, 1), view.state.doc.lines));
      view.dispatch({
        selection: { anchor: Math.min(at.from + column - 1, at.to) },
        effects: EditorView.scrollIntoView(at.from, { y: 'center' }),
      });
      view.focus();
    },
    destroy: () => view.destroy(),
  };
}

/** Tab indents, but after Escape the next Tab moves the focus on, so that nobody is caught by the keyboard. */
function leaving() {
  let isLeaving = false;
  return EditorView.domEventHandlers({
    keydown: (event, view) => {
      if (event.key === 'Escape') {
        isLeaving = !closeCompletion(view);
        return false;
      }
      const goes = isLeaving;
      if (event.key !== 'Shift') isLeaving = false;
      if (event.key !== 'Tab' || goes) return false;
      event.preventDefault();
      return (event.shiftKey ? indentLess : indentMore)(view);
    },
  });
}

/** The smallest change that makes the one text of the other, so that the cursor stays where it was. */
function replacing(now: string, next: string): { from: number; to: number; insert: string } {
  let from = 0;
  while (from < now.length && now[from] === next[from]) from++;
  let [to, end] = [now.length, next.length];
  while (to > from && end > from && now[to - 1] === next[end - 1]) [to, end] = [to - 1, end - 1];
  return { from, to, insert: next.slice(from, end) };
}

function complete(schema: Schema, values: Value | undefined, context: CompletionContext): CompletionResult | null {
  const place = placeAt(context.state.doc.toString(), context.pos);
  if (!place || (place.typed === '' && !context.explicit && !/[:\-,[{] $/.test(context.state.sliceDoc(context.pos - 2, context.pos))))
    return null;
  const options = suggestions(schema, place, values).map(({ label, apply, kind, detail, info }, n): Completion => {
    // In the order of the schema, what is required first.
    const boost = (detail === 'required' ? 99 : 50) - Math.min(n, 99);
    return { label, apply, type: kind, detail: ` ${detail}`, boost, ...(info ? { info } : {}) };
  });
  return { from: place.from, options, validFor: /^[\w./${}"-]*$/ };
}

function hover(schema: Schema, view: EditorView, at: number): Tooltip | null {
  const word = view.state.wordAt(at);
  if (!word) return null;
  const line = view.state.doc.lineAt(at);
  const rest = view.state.sliceDoc(word.to, line.to);
  // At the end of a key its path is that of its value: of the text up to behind the colon.
  const isKey = /^[\w-]*\s*:/.test(rest);
  const place = placeAt(
    view.state.sliceDoc(0, isKey ? word.to + rest.indexOf(':') + 1 : at) + (isKey ? ' ' : ''),
    isKey ? word.to + rest.indexOf(':') + 2 : at,
  );
  const told = place && meaning(schema, place.path);
  if (!told) return null;
  return {
    pos: word.from,
    end: word.to,
    create: () => {
      const dom = document.createElement('div');
      dom.className = 'meaning';
      const title = document.createElement('b');
      title.textContent = told.title;
      dom.append(title, told.text);
      return { dom };
    },
  };
}

function diagnostic(state: EditorState, { line, column, severity, message, help }: Problem): Diagnostic[] {
  if (line === null || line > state.doc.lines) return [];
  const on = state.doc.line(Math.max(line, 1));
  const from = Math.min(on.from + Math.max((column ?? 1) - 1, 0), on.to);
  const to = Math.max(state.wordAt(from)?.to ?? on.to, from);
  return [{ from, to, severity: severity === 'remark' ? 'info' : severity, message: help ? `${message}\n${help}` : message }];
}
