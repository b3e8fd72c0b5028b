package cli

import (
	"context"
	"fmt"
	"log/slog"
)

// logFlags are the flags for the client's log on standard error.
type logFlags struct {
	level  slog.Level
	format logFormat
}

// logFormat is the form of what goes to standard error.
type logFormat string

const (
	textFormat logFormat = "text"
	jsonFormat logFormat = "json"
)

// UnmarshalText reads the value of --log-format.
func (f *logFormat) UnmarshalText(text []byte) error {
	switch format := logFormat(text); format {
	case textFormat, jsonFormat:
		*f = format
		return nil
	}
	return fmt.Errorf("it must be %s or %s", textFormat, jsonFormat)
}

// MarshalText returns the default that help prints.
func (f logFormat) MarshalText() ([]byte, error) { return []byte(f), nil }

// logger is where the client logs to.
func (a *app) logger() *slog.Logger { return slog.New(a.logHandler(a.logging.level)) }

func (a *app) logHandler(level slog.Level) slog.Handler {
	if a.logging.format == jsonFormat {
		return slog.NewJSONHandler(a.stderr, &slog.HandlerOptions{Level: level})
	}
	return slog.NewTextHandler(a.stderr, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) == 0 && attr.Key == slog.TimeKey {
				return slog.Attr{} // a person reads it when it happens
			}
			return attr
		},
	})
}

// say writes one JSON object to standard error, at any level of the log.
func (a *app) say(ctx context.Context, level slog.Level, message string, attrs ...slog.Attr) {
	slog.New(a.logHandler(level)).LogAttrs(ctx, level, message, attrs...)
}
