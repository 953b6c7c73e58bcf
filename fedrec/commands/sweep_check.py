def check_against_parser(sweep): pass
