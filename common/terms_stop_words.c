/* terms_stop_words.c - English words that say nothing about what an article is about.
 *
 * General words, and those that headlines are full of: news jargon, weekdays, what is left of HTML entities. Single
 * letters are not listed, they never become terms. The words are in order, for the search by halves; a test holds that.
 * Thread-safe: constant. */
#include "terms_internal.h"

#include <string.h>

const char nm_terms_stop_words[][NM_TERMS_STOP_CHARS + 1] = {
    "about",    "above",     "after",     "again",      "against",  "all",       "also",      "am",         "amp",
    "an",       "and",       "any",       "are",        "aren't",   "as",        "at",        "back",       "be",
    "because",  "been",      "before",    "being",      "below",    "best",      "between",   "big",        "both",
    "breaking", "but",       "by",        "can",        "can't",    "cannot",    "could",     "couldn't",   "day",
    "days",     "did",       "didn't",    "do",         "does",     "doesn't",   "doing",     "don't",      "down",
    "during",   "each",      "even",      "ever",       "every",    "exclusive", "few",       "first",      "for",
    "friday",   "from",      "full",      "further",    "get",      "gets",      "getting",   "got",        "had",
    "has",      "hasn't",    "have",      "haven't",    "having",   "he",        "he's",      "her",        "here",
    "here's",   "hers",      "herself",   "him",        "himself",  "his",       "how",       "if",         "in",
    "into",     "is",        "isn't",     "it",         "it's",     "its",       "itself",    "just",       "know",
    "latest",   "let",       "like",      "live",       "look",     "looks",     "made",      "make",       "makes",
    "many",     "may",       "me",        "might",      "monday",   "more",      "most",      "much",       "must",
    "my",       "myself",    "nbsp",      "need",       "new",      "news",      "no",        "nor",        "not",
    "now",      "of",        "off",       "on",         "once",     "one",       "only",      "or",         "other",
    "our",      "ours",      "ourselves", "out",        "over",     "own",       "per",       "photo",      "photos",
    "pics",     "quot",      "read",      "report",     "reported", "reports",   "review",    "said",       "same",
    "saturday", "say",       "says",      "see",        "set",      "she",       "she's",     "should",     "shouldn't",
    "show",     "shows",     "so",        "some",       "still",    "such",      "sunday",    "take",       "takes",
    "than",     "that",      "that's",    "the",        "their",    "theirs",    "them",      "themselves", "then",
    "there",    "these",     "they",      "this",       "those",    "three",     "through",   "thursday",   "time",
    "times",    "to",        "today",     "tomorrow",   "too",      "top",       "tuesday",   "two",        "under",
    "until",    "up",        "update",    "updated",    "updates",  "upon",      "us",        "very",       "via",
    "video",    "videos",    "vs",        "want",       "wants",    "was",       "wasn't",    "watch",      "way",
    "we",       "wednesday", "week",      "were",       "weren't",  "what",      "what's",    "when",       "where",
    "which",    "while",     "who",       "whom",       "whose",    "why",       "will",      "with",       "within",
    "without",  "won't",     "would",     "wouldn't",   "year",     "years",     "yesterday", "yet",        "you",
    "your",     "yours",     "yourself",  "yourselves", "",
};

bool nm_terms_is_stop_word(const char *word)
{
    size_t low = 0, high = sizeof nm_terms_stop_words / sizeof *nm_terms_stop_words - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = word[0] - nm_terms_stop_words[middle][0]; /* nearly always enough */
        if (order == 0)
            order = strcmp(word, nm_terms_stop_words[middle]);
        if (order == 0)
            return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}
