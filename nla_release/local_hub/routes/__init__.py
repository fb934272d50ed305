"""The addresses of the Hub, by topic."""

from starlette.convertors import IntegerConvertor, register_url_convertor


class _NumberConvertor(IntegerConvertor):
    """A number that a file's size can be: of thousands of digits, Python makes none."""

    regex = "[0-9]{1,18}"


register_url_convertor("number", _NumberConvertor())
