/** What became of each line of the other gateway's file: grades, their order and counts. Pure. */
import type { Imported } from '../types/config';
import type { Tone } from '../ui/basics';

export type Grade = Imported['lines'][number]['grade'];

export const GRADES: readonly { grade: Grade; tone: Tone; meaning: string }[] = [
  { grade: 'unsupported', tone: 'error', meaning: 'there is nothing like it here' },
  { grade: 'manual', tone: 'warn', meaning: 'you have to fill something in' },
  { grade: 'approximate', tone: 'info', meaning: 'nearly the same' },
  { grade: 'exact', tone: 'ok', meaning: 'the same here' },
];

export const toneOf = (grade: Grade): Tone => GRADES.find((known) => known.grade === grade)?.tone ?? 'quiet';

/** Lines by grade; those that want somebody first. */
export function countsOf(lines: Imported['lines']): { grade: Grade; tone: Tone; meaning: string; count: number }[] {
  return GRADES.map((known) => ({ ...known, count: lines.filter(({ grade }) => grade === known.grade).length }));
}

/** Largest file that is read, in bytes. */
export const FILE_BYTES_MAX = 1024 * 1024;

/** Why a text cannot be imported; `null` where it can. */
export function objection(text: string): string | null {
  if (text.trim() === '') return 'Paste a file, or open one.';
  return text.length > FILE_BYTES_MAX ? 'That is longer than the 1 MiB that are read.' : null;
}
