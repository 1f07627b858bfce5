/** A table that sorts by its heads, scrolls sideways in its own box, and can open a row. Sorting is stable; absent values come last. */
import type { ComponentChildren } from 'preact';
import { Fragment } from 'preact';
import { useState } from 'preact/hooks';

export interface Column<T> {
  id: string;
  head: string;
  cell: (row: T) => ComponentChildren;
  /** What to sort by; without it the column does not sort. */
  by?: (row: T) => number | string | null;
  /** Numbers stand to the right. */
  number?: boolean;
  /** The head is read aloud only: a picture column needs no name to be seen. */
  bare?: boolean;
}

interface Sort {
  id: string;
  down: boolean;
}

interface TableProps<T> {
  /** Read aloud before the table. */
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  rowKey: (row: T) => string;
  sort?: Sort;
  /** What a row opens to, under it. */
  detail?: (row: T) => ComponentChildren;
}

/** `rows` by `column`; `null` last in both directions. */
export function sorted<T>(rows: readonly T[], by: (row: T) => number | string | null, down: boolean): T[] {
  return [...rows].sort((a, b) => {
    const left = by(a);
    const right = by(b);
    if (left === null || right === null) return Number(left === null) - Number(right === null);
    const order = typeof left === 'number' && typeof right === 'number' ? left - right : String(left).localeCompare(String(right));
    return down ? -order : order;
  });
}

export function Table<T>({ label, columns, rows, rowKey, sort, detail }: TableProps<T>) {
  const [order, setOrder] = useState<Sort | null>(sort ?? null);
  const [open, setOpen] = useState<string | null>(null);
  const by = columns.find((column) => column.id === order?.id)?.by;
  const shown = by && order ? sorted(rows, by, order.down) : rows;
  const turn = (column: Column<T>): void =>
    setOrder((old) => ({ id: column.id, down: old?.id === column.id ? !old.down : column.number === true }));
  return (
    <div class="table-box" tabIndex={0} role="region" aria-label={label}>
      <table class="table">
        <thead>
          <tr>
            {columns.map((column) => (
              <th
                key={column.id}
                class={columnClass(column)}
                scope="col"
                aria-sort={order?.id === column.id ? (order.down ? 'descending' : 'ascending') : undefined}
              >
                {column.by ? (
                  <button type="button" class="sort" onClick={() => turn(column)}>
                    {column.head}
                    <span aria-hidden="true">{order?.id === column.id ? (order.down ? ' ↓' : ' ↑') : ''}</span>
                  </button>
                ) : (
                  <span class={column.bare ? 'hidden' : undefined}>{column.head}</span>
                )}
              </th>
            ))}
            {detail && (
              <th scope="col">
                <span class="hidden">Details</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => {
            const key = rowKey(row);
            const isOpen = open === key;
            return (
              <Fragment key={key}>
                <tr class={isOpen ? 'open' : undefined}>
                  {columns.map((column) => (
                    <td key={column.id} class={columnClass(column)}>
                      {column.cell(row)}
                    </td>
                  ))}
                  {detail && (
                    <td class="right">
                      <button type="button" class="open-row" aria-expanded={isOpen} onClick={() => setOpen(isOpen ? null : key)}>
                        {isOpen ? 'Close' : 'Open'}
                      </button>
                    </td>
                  )}
                </tr>
                {detail && isOpen && (
                  <tr class="detail">
                    <td colSpan={columns.length + 1}>
                      <div class="detail-box">{detail(row)}</div>
                    </td>
                  </tr>
                )}
              </Fragment>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

const columnClass = ({ number, bare }: Pick<Column<never>, 'number' | 'bare'>): string | undefined =>
  number ? 'right' : bare ? 'bare' : undefined;
